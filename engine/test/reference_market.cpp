// Market data, walks and money: the rest of section 5, sections 6 and 7.
#include <algorithm>

#include "reference_model.hpp"
#include "reference_text.hpp"

namespace veloz::reference {
namespace {

void sort_best_first(Market& market) {
  std::sort(market.bids.begin(), market.bids.end(), [](auto& a, auto& b) { return a.price > b.price; });
  std::sort(market.asks.begin(), market.asks.end(), [](auto& a, auto& b) { return a.price < b.price; });
}

bool crosses(const Order& order, Units opposite) {
  return order.buy() ? opposite <= order.price : opposite >= order.price;
}

void name_level(std::vector<Level>& levels, Units price, Units qty) {
  std::erase_if(levels, [&](const Level& level) { return level.price == price; });
  if (qty != 0)
    levels.push_back({price, qty, {}});
}

void name_levels(std::vector<Level>& levels, const std::string& text) {
  if (text == "-")
    return;
  for (std::size_t start = 0; start < text.size();) {
    const auto colon = text.find(':', start);
    const auto comma = std::min(text.find(',', start), text.size());
    name_level(levels, positive(text.substr(start, colon - start)),
               decimal(text.substr(colon + 1, comma - colon - 1)));
    start = comma + 1;
  }
}

// Section 7, the position's arithmetic; false when a figure does not fit.
bool apply(Position& position, Wide dq, Wide dc, std::int64_t day, bool whole_realised) {
  Wide qty = position.qty, cost = position.cost, gained = 0;
  if (dq == 0) {
    gained = -dc;
  } else if (qty == 0 || (dq > 0) == (qty > 0)) {
    qty += dq;
    cost += dc;
  } else {
    const Wide closed = std::min(magnitude(dq), magnitude(qty));
    const Wide cost_part = cost * closed / magnitude(qty);
    const Wide cash_part = whole_realised ? dc : dc * closed / magnitude(dq);
    gained = -(cash_part + cost_part);
    const Wide sign = dq > 0 ? 1 : -1;
    qty += sign * closed;
    cost -= cost_part;
    if (magnitude(dq) > closed) {
      qty = dq - sign * closed;
      cost = dc - cash_part;
    }
  }
  const Wide realised = position.realised + gained;
  const Wide today = (position.day == day ? position.day_realised : 0) + gained;
  if (!fits(qty) || !fits(cost) || !fits(realised) || !fits(today))
    return false;
  position = {static_cast<Units>(qty), static_cast<Units>(cost), static_cast<Units>(realised),
              static_cast<Units>(today), day};
  return true;
}

}  // namespace

void Model::trade(const Words& words) {
  auto& market = this->market(words.at[0]);
  market.last_price = positive(words.at[1]);
  market.last_qty = positive(words.at[2]);
  for (auto& [name, account] : accounts_) {
    if (!account.restoring)
      print_fills(account, words.at[0], *market.last_price, *market.last_qty);
  }
  for (auto& [name, account] : accounts_) {
    if (!account.restoring)
      print_triggers(account, words.at[0]);
  }
  show_market(words, market);
}

void Model::print_fills(Account& account, const std::string& symbol, Units price, Units qty) {
  for (const std::string side : {"BUY", "SELL"}) {
    for (const auto& order : resting(account, symbol, side)) {
      const Units take = std::min(qty, order->leaves());
      if (take > 0 && crosses(*order, price) && fill(order, take, order->price, true))
        qty -= take;
    }
  }
}

void Model::print_triggers(Account& account, const std::string& symbol) {
  for (const auto& order : by_rank(account)) {
    if (order->symbol == symbol && order->waiting() && stop_reached(*order))
      trigger(order);
  }
}

void Model::quote(const Words& words) {
  auto& market = this->market(words.at[0]);
  const Units bid = decimal(words.at[1]), bid_qty = decimal(words.at[2]);
  const Units ask = decimal(words.at[3]), ask_qty = decimal(words.at[4]);
  if ((bid == 0) != (bid_qty == 0) || (ask == 0) != (ask_qty == 0))
    throw Refusal{"BAD_NUMBER"};
  if (market.snapshot_seen)
    throw Refusal{"BOOK_IS_DEPTH"};
  market.bids.clear();
  market.asks.clear();
  if (bid != 0)
    market.bids.push_back({bid, bid_qty, {}});
  if (ask != 0)
    market.asks.push_back({ask, ask_qty, {}});
  if (book_changed(words.at[0], market))
    show_market(words, market);
}

void Model::depth(const Words& words) {
  auto& market = this->market(words.at[0]);
  if (words.at[1] == "UPDATE")
    return depth_update(words, market);
  const bool tells = !market.snapshot_seen || market.waiting_for_snapshot;
  market.bids.clear();
  market.asks.clear();
  name_levels(market.bids, words.at[3]);
  name_levels(market.asks, words.at[4]);
  market.depth_id = std::stoll(words.at[2]);
  market.snapshot_seen = true;
  market.waiting_for_snapshot = false;
  if (!book_changed(words.at[0], market))
    return;
  if (tells)
    answers_.push_back(Json(head("book"))
                           .text("symbol", words.at[0])
                           .whole("ts_ns", clock_)
                           .text("status", "SYNCED")
                           .done());
  show_market(words, market);
}

void Model::depth_update(const Words& words, Market& market) {
  const std::int64_t first = std::stoll(words.at[2]), last = std::stoll(words.at[3]);
  if (market.waiting_for_snapshot || (market.snapshot_seen && last <= market.depth_id))
    return;
  if (!market.snapshot_seen || first > market.depth_id + 1) {
    market.bids.clear();
    market.asks.clear();
    market.waiting_for_snapshot = true;
    Json event(head("book"));
    event.text("symbol", words.at[0]).whole("ts_ns", clock_).text("status", "GAP");
    if (market.snapshot_seen)
      event.whole("expected", market.depth_id + 1);
    return answers_.push_back(event.whole("got", first).done());
  }
  name_levels(market.bids, words.at[4]);
  name_levels(market.asks, words.at[5]);
  market.depth_id = last;
  if (book_changed(words.at[0], market))
    show_market(words, market);
}

bool Model::book_changed(const std::string& symbol, Market& market) {
  sort_best_first(market);
  if (!market.bids.empty() && !market.asks.empty() && market.bids[0].price >= market.asks[0].price) {
    market.bids.clear();
    market.asks.clear();
    market.waiting_for_snapshot = market.waiting_for_snapshot || market.snapshot_seen;
    answers_.push_back(
        Json(head("book")).text("symbol", symbol).whole("ts_ns", clock_).text("status", "CROSSED").done());
    return false;
  }
  for (auto& [name, account] : accounts_) {
    if (account.restoring)
      continue;
    for (const auto& order : resting(account, symbol, "BUY"))
      match_against_book(order, market.asks);
    for (const auto& order : resting(account, symbol, "SELL"))
      match_against_book(order, market.bids);
  }
  return true;
}

void Model::match_against_book(const OrderRef& order, std::vector<Level>& levels) {
  for (auto& level : levels) {
    const Units take = std::min(order->leaves(), available(level, order->account));
    if (take <= 0 || !crosses(*order, level.price))
      continue;
    if (!fill(order, take, order->price, true))
      return;
    level.taken[order->account] += take;
  }
}

void Model::show_market(const Words& words, const Market& market) {
  Json event(head("market"));
  event.text("symbol", words.at[0])
      .whole("ts_ns", std::stoll(words.option("event_ts", std::to_string(clock_))));
  if (market.last_price)
    event.number("price", *market.last_price).number("qty", *market.last_qty);
  if (!market.bids.empty())
    event.number("bid", market.bids[0].price).number("bid_qty", market.bids[0].qty);
  if (!market.asks.empty())
    event.number("ask", market.asks[0].price).number("ask_qty", market.asks[0].qty);
  answers_.push_back(event.done());
}

Walk Model::walk(const Account& account, const Order& order) {
  Walk walk;
  auto& market = markets_.at(order.symbol);
  const bool at_any_price = order.type == "MARKET" || order.type == "STOP";
  const bool guarded = order.stp == "CANCEL_NEWEST" && fault_ != Fault::self_trade_ignored;
  for (auto& level : order.buy() ? market.asks : market.bids) {
    if (walk.filled == order.leaves() || (!at_any_price && !crosses(order, level.price)))
      break;
    if (guarded && own_opposite_crosses(account, order, level.price)) {
      walk.self_trade = true;
      break;
    }
    const Units take = std::min(order.leaves() - walk.filled, available(level, account.name));
    if (take <= 0)
      continue;
    walk.steps.emplace_back(&level, take);
    walk.filled += take;
    walk.cost += floor_mul(level.price, take);
  }
  return walk;
}

void Model::go(const OrderRef& order) {
  auto& account = owner(*order);
  const Walk walk = this->walk(account, *order);
  const bool at_any_price = order->type == "MARKET" || order->type == "STOP";
  if (order->tif == "FOK" && walk.filled < order->leaves())
    return end(order, "CANCELLED", "FOK_UNFILLED");
  const bool pays = order->type == "STOP" && order->buy();
  if (pays && walk.cost > free_of(account, lock_asset(*order)) + lock(*order))
    return end(order, "CANCELLED", "INSUFFICIENT_FUNDS");
  for (const auto& [level, qty] : walk.steps) {
    if (!fill(order, qty, level->price, false))
      return;
    level->taken[account.name] += qty;
  }
  if (order->leaves() == 0)
    return;
  if (walk.self_trade)
    return end(order, "CANCELLED", "SELF_TRADE");
  if (at_any_price)
    return end(order, "CANCELLED", "NO_LIQUIDITY");
  if (order->tif == "IOC")
    return end(order, "CANCELLED", "IOC_REMAINDER");
  const bool guarded = order->stp == "CANCEL_NEWEST" && fault_ != Fault::self_trade_ignored;
  if (guarded && own_opposite_crosses(account, *order, order->price))
    end(order, "CANCELLED", "SELF_TRADE");
}

void Model::trigger(const OrderRef& order) {
  order->triggered = true;
  order->rank = ++owner(*order).last_rank;
  update(order, "ACCEPTED", "TRIGGERED");
  go(order);
}

bool Model::stop_reached(const Order& order) {
  const auto& last = markets_.at(order.symbol).last_price;
  if (!last)
    return false;
  if (fault_ == Fault::stop_needs_more_than_reached && *last == order.stop)
    return false;
  return order.buy() ? *last >= order.stop : *last <= order.stop;
}

bool Model::own_opposite_crosses(const Account& account, const Order& order, Units price) const {
  return std::any_of(account.open.begin(), account.open.end(), [&](const OrderRef& own) {
    if (own->symbol != order.symbol || own->side == order.side || own->waiting())
      return false;
    return order.buy() ? own->price <= price : own->price >= price;
  });
}

Units Model::available(const Level& level, const std::string& account) const {
  const auto taken = level.taken.find(account);
  if (taken == level.taken.end() || fault_ == Fault::taken_forgotten)
    return level.qty;
  return level.qty - taken->second;
}

bool Model::fill(const OrderRef& order, Units qty, Units price, bool maker) {
  auto& account = owner(*order);
  const auto& market = markets_.at(order->symbol);
  const Wide money = floor_mul(price, qty);
  const Wide bps = account.limits[maker ? "maker_fee_bps" : "taker_fee_bps"];
  const Wide received = (order->buy() ? Wide(qty) : money) * bps;
  const Wide fee =
      fault_ == Fault::fee_rounded_down ? received / (10'000 * kOne) : ceil_div(received, 10'000 * kOne);
  const Wide dq = order->buy() ? qty - fee : -Wide(qty);
  const Wide dc = order->buy() ? money : -(money - fee);
  const Wide base = account.totals[market.base] + dq, quote = account.totals[market.quote] - dc;
  Position position = account.positions[order->symbol];
  const bool whole_realised = fault_ == Fault::realised_of_whole_fill;
  const bool fitting = fits(base) && fits(quote) && fits(order->notional + money);
  if (!fitting || !apply(position, dq, dc, clock_ / kDayNs, whole_realised)) {
    end(order, "CANCELLED", "OVERFLOW");
    return false;
  }
  account.totals[market.base] = static_cast<Units>(base);
  account.totals[market.quote] = static_cast<Units>(quote);
  account.positions[order->symbol] = position;
  order->executed += qty;
  order->notional += static_cast<Units>(money);
  Json event(head("fill"));
  event.text("account", account.name)
      .whole("ts_ns", clock_)
      .text("client_order_id", order->id)
      .text("symbol", order->symbol);
  event.text("side", order->side)
      .number("qty", qty)
      .number("price", price)
      .number("fee", static_cast<Units>(fee));
  event.text("fee_asset", order->buy() ? market.base : market.quote)
      .text("liquidity", maker ? "maker" : "taker");
  events_.push_back(event.whole("trade_id", ++account.trades).done());
  if (order->leaves() == 0)
    end(order, "FILLED", "");
  if (order->leaves() != 0)
    update(order, "PARTIALLY_FILLED", "");
  return true;
}

void Model::end(const OrderRef& order, const std::string& status, const std::string& reason) {
  std::erase(owner(*order).open, order);
  update(order, status, reason);
}

void Model::update(const OrderRef& order, const std::string& status, const std::string& reason) {
  order->status = status;
  order->reason = reason;
  order->last = clock_;
  if (std::find(touched_.begin(), touched_.end(), order) == touched_.end())
    touched_.push_back(order);
  auto& names = touched_accounts_;
  if (std::find(names.begin(), names.end(), order->account) == names.end())
    names.push_back(order->account);
  Json event(head("order_update"));
  event.text("account", order->account)
      .whole("ts_ns", clock_)
      .text("client_order_id", order->id)
      .text("status", status);
  event.text("symbol", order->symbol)
      .text("side", order->side)
      .number("qty", order->qty)
      .number("price", order->price);
  event.text("order_type", order->type).text("tif", order->tif);
  if (order->is_stop())
    event.number("stop_price", order->stop);
  if (order->expire != 0)
    event.whole("expire_ts_ns", order->expire);
  event.text("stp", order->stp)
      .raw("triggered", order->triggered ? "true" : "false")
      .whole("rank", order->rank);
  if (!reason.empty())
    event.text("reason", reason);
  events_.push_back(event.done());
}

std::vector<OrderRef> Model::by_rank(const Account& account) const {
  auto orders = account.open;
  std::sort(orders.begin(), orders.end(), [](const auto& a, const auto& b) { return a->rank < b->rank; });
  return orders;
}

// Orders of a side that rest in the book, by price, then rank.
std::vector<OrderRef> Model::resting(const Account& account, const std::string& symbol,
                                     const std::string& side) const {
  std::vector<OrderRef> orders;
  for (const auto& order : account.open) {
    if (order->symbol == symbol && order->side == side && !order->waiting())
      orders.push_back(order);
  }
  std::sort(orders.begin(), orders.end(), [&](const auto& a, const auto& b) {
    if (a->price != b->price)
      return side == "BUY" ? a->price > b->price : a->price < b->price;
    return fault_ == Fault::newest_first ? a->rank > b->rank : a->rank < b->rank;
  });
  return orders;
}

std::string Model::lock_asset(const Order& order) const {
  const auto& market = markets_.at(order.symbol);
  return order.buy() ? market.quote : market.base;
}

Wide Model::lock(const Order& order) const {
  if (!order.buy())
    return order.leaves();
  const Units price = order.type == "STOP" ? order.stop : order.price;
  return fault_ == Fault::lock_rounded_down ? floor_mul(price, order.leaves())
                                            : ceil_div(Wide(price) * order.leaves(), kOne);
}

Wide Model::free_of(const Account& account, const std::string& asset) const {
  const auto total = account.totals.find(asset);
  Wide free = total == account.totals.end() ? 0 : total->second;
  for (const auto& order : account.open) {
    if (lock_asset(*order) == asset)
      free -= lock(*order);
  }
  return free;
}

}  // namespace veloz::reference
