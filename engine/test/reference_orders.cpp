// Orders, their risk checks, cancels and amends: section 5 without the walk.
#include <algorithm>

#include "reference_model.hpp"
#include "reference_text.hpp"

namespace veloz::reference {
namespace {

bool one_of(const std::string& word, std::initializer_list<const char*> words) {
  return std::any_of(words.begin(), words.end(), [&](const char* other) { return word == other; });
}

Units limit(const Account& account, const std::string& name) {
  const auto found = account.limits.find(name);
  return found == account.limits.end() ? 0 : found->second;
}

Wide notional_of(const Order& order, const Walk& walk) {
  if (order.type == "MARKET")
    return walk.cost;
  return floor_mul(order.type == "STOP" ? order.stop : order.price, order.qty);
}

OrderRef find(const Account& account, const std::string& id) {
  for (const auto& order : account.open) {
    if (order->id == id)
      return order;
  }
  return nullptr;
}

}  // namespace

void Model::order(const Words& words) {
  const auto order = std::make_shared<Order>();
  order->account = words.option("acct", "main");
  order->side = words.at[0];
  order->symbol = words.at[1];
  order->qty = positive(words.at[2]);
  order->price = decimal(words.at[3]);
  order->id = words.at[4];
  order->type = words.at.size() > 5 ? words.at[5] : "LIMIT";
  order->tif = words.at.size() > 6 ? words.at[6] : order->type == "MARKET" ? "IOC" : "GTC";
  order->stop = decimal(words.option("stop", "0"));
  order->expire = std::stoll(words.option("expire", "0"));
  order->stp = words.option("stp", "CANCEL_NEWEST");
  order->created = clock_;
  check_form(*order, words);
  if (order->type == "MARKET" && order->tif == "GTC")
    order->tif = "IOC";
  auto& owner = account(order->account);
  if (order->tif == "GTD" && order->expire <= clock_)
    throw Refusal{"BAD_EXPIRE"};
  if (find(owner, order->id))
    throw Refusal{"DUPLICATE_ORDER"};
  const std::string reason = refusal(owner, *order);
  if (!reason.empty())
    return update(order, "REJECTED", reason);
  accept(order);
}

void Model::check_form(const Order& order, const Words& words) const {
  const bool tif_fits = order.type == "LIMIT"    ? one_of(order.tif, {"GTC", "IOC", "FOK", "GTX", "GTD"})
                        : order.type == "MARKET" ? one_of(order.tif, {"IOC", "FOK", "GTC"})
                                                 : one_of(order.tif, {"GTC", "GTD"});
  if (!tif_fits)
    throw Refusal{"BAD_TIF"};
  if ((order.price == 0) != one_of(order.type, {"MARKET", "STOP"}))
    throw Refusal{"BAD_ARGUMENTS"};
  if (words.has("stop") != order.is_stop())
    throw Refusal{"BAD_ARGUMENTS"};
  if (words.has("expire") != (order.tif == "GTD"))
    throw Refusal{"BAD_ARGUMENTS"};
}

// The reason of the first check that fails, in the order of the document's table; "" when all pass.
std::string Model::refusal(Account& account, const Order& order) {
  if (markets_.count(order.symbol) == 0)
    return "UNKNOWN_SYMBOL";
  if (killed_ || account.kill)
    return "KILL_SWITCH";
  const auto& market = markets_.at(order.symbol);
  const Walk walk = order.type == "MARKET" ? this->walk(account, order) : Walk{};
  const std::string size = size_refusal(account, order, walk);
  if (!size.empty())
    return size;
  if (band_refuses(account, order, walk))
    return "PRICE_BAND";
  const Units most_open = limit(account, "max_open_orders");
  if (most_open != 0 && order.type != "MARKET" && std::ssize(account.open) >= most_open)
    return "MAX_OPEN_ORDERS";
  if (position_refuses(account, order))
    return "POSITION_LIMIT";
  const Units most_lost = limit(account, "daily_loss");
  if (most_lost != 0 && loss_today(account, market.quote) >= most_lost)
    return "DAILY_LOSS";
  if (rate_refuses(account))
    return "ORDER_RATE";
  if (limit(account, "order_rate") != 0)
    account.rate_passed.push_back(clock_);
  const Wide needed = order.type != "MARKET" ? lock(order) : order.buy() ? walk.cost : Wide(order.qty);
  if (free_of(account, lock_asset(order)) < needed)
    return "INSUFFICIENT_FUNDS";
  return post_only_takes(order) ? "POST_ONLY_WOULD_TAKE" : "";
}

std::string Model::size_refusal(const Account& account, const Order& order, const Walk& walk) const {
  const auto& market = markets_.at(order.symbol);
  if (order.price % market.tick != 0 || order.stop % market.tick != 0)
    return "BAD_TICK";
  const bool too_big = market.max_qty != 0 && order.qty > market.max_qty;
  if (order.qty % market.lot != 0 || order.qty < market.min_qty || too_big)
    return "BAD_LOT";
  const Units most = limit(account, "max_order_qty");
  if (most != 0 && order.qty > most)
    return "MAX_ORDER_QTY";
  const Wide notional = notional_of(order, walk);
  if (!fits(notional))
    return "OVERFLOW";
  if (order.type != "MARKET" && notional < market.min_notional)
    return "MIN_NOTIONAL";
  const Units most_notional = limit(account, "max_notional");
  return most_notional != 0 && notional > most_notional ? "MAX_NOTIONAL" : "";
}

bool Model::band_refuses(const Account& account, const Order& order, const Walk& walk) const {
  const auto& market = markets_.at(order.symbol);
  const Units bps = limit(account, "price_band_bps");
  if (bps == 0 || !market.last_price || order.type == "STOP")
    return false;
  if (order.type == "MARKET" && walk.steps.empty())
    return false;
  const Wide price = order.type == "MARKET" ? walk.steps.back().first->price : order.price;
  const Wide distance = magnitude(price - *market.last_price) * 10'000 * kOne;
  const Wide band = Wide(*market.last_price) * bps;
  return fault_ == Fault::band_inclusive ? distance >= band : distance > band;
}

// Counts the leaves of every other open order, and those of this one as they would be.
bool Model::position_refuses(const Account& account, const Order& order) const {
  const Units most = limit(account, "max_position");
  if (most == 0)
    return false;
  const auto found = account.positions.find(order.symbol);
  const Wide held = found == account.positions.end() ? 0 : found->second.qty;
  Wide pending = order.leaves();
  for (const auto& other : account.open) {
    if (other->symbol == order.symbol && other->side == order.side && other->id != order.id)
      pending += other->leaves();
  }
  return (order.buy() ? held + pending : -(held - pending)) > most;
}

Wide Model::loss_today(const Account& account, const std::string& quote_asset) const {
  Wide realised = 0;
  for (const auto& [symbol, position] : account.positions) {
    if (markets_.at(symbol).quote == quote_asset && position.day == clock_ / kDayNs)
      realised += position.day_realised;
  }
  return -realised;
}

bool Model::rate_refuses(Account& account) const {
  const Units most = limit(account, "order_rate");
  if (most == 0 || std::ssize(account.rate_passed) < most)
    return false;
  const std::int64_t nth_last =
      account.rate_passed[account.rate_passed.size() - static_cast<std::size_t>(most)];
  const std::int64_t window = 1'000'000'000 + (fault_ == Fault::rate_window_closed ? 1 : 0);
  return clock_ - nth_last < window;
}

bool Model::post_only_takes(const Order& order) const {
  const auto& market = markets_.at(order.symbol);
  const auto& opposite = order.buy() ? market.asks : market.bids;
  if (order.tif != "GTX" || opposite.empty())
    return false;
  return order.buy() ? opposite[0].price <= order.price : opposite[0].price >= order.price;
}

void Model::accept(const OrderRef& order) {
  auto& account = owner(*order);
  account.open.push_back(order);
  order->rank = ++account.last_rank;
  update(order, "ACCEPTED", "");
  if (!order->is_stop())
    return go(order);
  if (stop_reached(*order))
    trigger(order);
}

void Model::cancel(const Words& words) {
  const auto order = find(account(words.option("acct", "main")), words.at[0]);
  if (!order || words.option("symbol", order->symbol) != order->symbol)
    throw Refusal{"NOT_FOUND"};
  end(order, "CANCELLED", words.option("reason", "USER"));
}

void Model::cancel_all(const Words& words) {
  const std::string only = words.option("acct", "main");
  if (only != "*")
    account(only);
  if (words.has("symbol"))
    market(words.option("symbol"));
  for (auto& [name, account] : accounts_) {
    if ((only != "*" && only != name) || account.restoring)
      continue;
    for (const auto& order : by_rank(account)) {
      if (words.has("symbol") && words.option("symbol") != order->symbol)
        continue;
      end(order, "CANCELLED", words.option("reason", "USER"));
    }
  }
}

void Model::amend(const Words& words) {
  auto& account = this->account(words.option("acct", "main"));
  const auto order = find(account, words.at[0]);
  if (!order)
    throw Refusal{"NOT_FOUND"};
  Order wish = *order;
  if (words.has("qty"))
    wish.qty = positive(words.option("qty"));
  if (words.has("price"))
    wish.price = positive(words.option("price"));
  if (words.has("stop"))
    wish.stop = positive(words.option("stop"));
  if (wish.qty <= wish.executed)
    throw Refusal{"BAD_AMEND"};
  if (words.has("price") && wish.type == "STOP")
    throw Refusal{"BAD_AMEND"};
  if (words.has("stop") && !wish.waiting())
    throw Refusal{"BAD_AMEND"};
  const bool same_prices = wish.price == order->price && wish.stop == order->stop;
  if (same_prices && wish.qty == order->qty)
    return;
  const std::string reason = amend_refusal(account, *order, wish);
  if (!reason.empty())
    throw Refusal{reason};
  const bool only_smaller = same_prices && wish.qty < order->qty;
  *order = wish;
  if (!only_smaller && fault_ != Fault::amend_keeps_rank)
    order->rank = ++account.last_rank;
  update(order, order->status, "AMENDED");
  if (only_smaller)
    return;
  if (!order->waiting())
    return go(order);
  if (stop_reached(*order))
    trigger(order);
}

std::string Model::amend_refusal(Account& account, const Order& old, const Order& wish) {
  const auto& market = markets_.at(wish.symbol);
  const Walk no_walk;
  if (wish.price == old.price && wish.stop == old.stop && wish.qty < old.qty) {
    if (wish.qty % market.lot != 0 || wish.qty < market.min_qty)
      return "BAD_LOT";
    if (market.max_qty != 0 && wish.qty > market.max_qty)
      return "BAD_LOT";
    return notional_of(wish, no_walk) < market.min_notional ? "MIN_NOTIONAL" : "";
  }
  if (killed_ || account.kill)
    return "KILL_SWITCH";
  const std::string size = size_refusal(account, wish, no_walk);
  if (!size.empty())
    return size;
  if (band_refuses(account, wish, no_walk))
    return "PRICE_BAND";
  if (position_refuses(account, wish))
    return "POSITION_LIMIT";
  if (lock(wish) > free_of(account, lock_asset(wish)) + lock(old))
    return "INSUFFICIENT_FUNDS";
  if (post_only_takes(wish))
    return "POST_ONLY_WOULD_TAKE";
  const bool crosses =
      wish.stp == "CANCEL_NEWEST" && !wish.waiting() && own_opposite_crosses(account, wish, wish.price);
  return crosses ? "SELF_TRADE" : "";
}

}  // namespace veloz::reference
