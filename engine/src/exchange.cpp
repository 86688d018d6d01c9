#include "exchange.hpp"

#include <algorithm>

namespace veloz {
namespace {

/// Adds the holdings whose first order on the shelf `price` reaches.
void add_reached(const Instrument& instrument, Shelf shelf, Units price, std::vector<Holding*>& out) {
  const bool highest_first = shelf == Shelf::Buys || shelf == Shelf::SellStops;
  const Units last = highest_first ? -price : price;
  const auto& reach = instrument.reach[index(shelf)];
  for (auto it = reach.begin(); it != reach.end() && it->first <= last; ++it) {
    out.push_back(it->second);
  }
}

/// Sorts holdings of one instrument by account and drops those named twice.
std::vector<Holding*>& by_account(std::vector<Holding*>& holdings) {
  std::ranges::sort(holdings, {},
                    [](const Holding* holding) { return std::string_view(holding->account.name); });
  holdings.erase(std::unique(holdings.begin(), holdings.end()), holdings.end());
  return holdings;
}

}  // namespace

void Exchange::accept(Order& order) {
  order.status = Status::Accepted;
  order.rank = order.holding->account.next_rank++;
  order.created = state_.clock;
  ++state_.accepted;
  outbox_.order_update(order, {});
  carry_on(order);
}

void Exchange::amend(Order& order, const Amendment& wanted) {
  if (wanted.only_less(order)) {
    unlock(order);
    order.qty = wanted.qty;
    lock(order);
    outbox_.order_update(order, "AMENDED");
    return;
  }
  unopen(order);
  order.qty = wanted.qty;
  order.price = wanted.price;
  order.stop = wanted.stop;
  order.rank = order.holding->account.next_rank++;
  outbox_.order_update(order, "AMENDED");
  carry_on(order);
}

void Exchange::close(Order& order, Status status, std::string_view reason) {
  if (order.open) {
    unopen(order);
  }
  order.status = status;
  outbox_.order_update(order, reason);
}

void Exchange::expire_due() {
  if (state_.expiries.empty() || state_.expiries.begin()->first > state_.clock) {
    return;
  }
  std::vector<Order*> due;
  for (auto it = state_.expiries.begin(); it != state_.expiries.end() && it->first <= state_.clock; ++it) {
    due.push_back(it->second);
  }
  std::ranges::sort(due, [](const Order* a, const Order* b) {
    const int names = a->holding->account.name.compare(b->holding->account.name);
    return names != 0 ? names < 0 : a->rank < b->rank;
  });
  for (Order* order : due) {
    close(*order, Status::Expired, "GTD_EXPIRED");
  }
}

void Exchange::carry_on(Order& order) {
  if (!order.waiting()) {
    arrive(order);
    return;
  }
  const auto& last = order.holding->instrument.last;
  const bool reached =
      last && (order.side == Side::Buy ? last->price >= order.stop : last->price <= order.stop);
  if (reached) {
    trigger(order);
  } else {
    open(order);
  }
}

void Exchange::trigger(Order& order) {
  Holding& holding = *order.holding;
  order.triggered = true;
  order.rank = holding.account.next_rank++;
  outbox_.order_update(order, "TRIGGERED");
  if (order.type == OrderType::Stop && order.side == Side::Buy) {
    // The stop's price bounded the lock, not what the market asks now. Its own lock is free by now.
    const Int128 cost = dry_walk({holding, order.side, order.leaves(), std::nullopt, order.stp}).cost;
    if (cost > holding.quote.free()) {
      close(order, Status::Cancelled, name(Code::InsufficientFunds));
      return;
    }
  }
  arrive(order);
}

void Exchange::arrive(Order& order) {
  Holding& holding = *order.holding;
  const bool at_market = order.type == OrderType::Market || order.type == OrderType::Stop;
  const Walker walker{holding, order.side, order.leaves(),
                      at_market ? std::nullopt : std::optional(order.price), order.stp};
  if (order.tif == TimeInForce::Fok && dry_walk(walker).filled < order.leaves()) {
    close(order, Status::Cancelled, "FOK_UNFILLED");
    return;
  }
  const bool self_trade = walk(walker, [&](Level& level, Units qty) {
    if (!fill(order, level.price(), qty, Liquidity::Taker)) {
      return false;
    }
    level.take(holding.account.serial, qty);
    return true;
  });
  if (!order.closed()) {
    settle_remainder(order, self_trade);
  }
}

void Exchange::settle_remainder(Order& order, bool self_trade) {
  if (self_trade) {
    close(order, Status::Cancelled, name(Code::SelfTrade));
  } else if (order.type == OrderType::Market || order.type == OrderType::Stop) {
    close(order, Status::Cancelled, "NO_LIQUIDITY");
  } else if (order.tif == TimeInForce::Ioc) {
    close(order, Status::Cancelled, "IOC_REMAINDER");
  } else if (const auto wall = own_wall(*order.holding, order.side, order.stp);
             wall && crosses(order.side, order.price, *wall)) {
    close(order, Status::Cancelled, name(Code::SelfTrade));
  } else {
    open(order);
  }
}

bool Exchange::fill(Order& order, Units price, Units qty, Liquidity liquidity) {
  Holding& holding = *order.holding;
  Account& account = holding.account;
  const bool buy = order.side == Side::Buy;
  const Int128 value = notional(price, qty);
  const Units bps =
      liquidity == Liquidity::Maker ? account.limits.maker_fee_bps : account.limits.taker_fee_bps;
  if (!fits(value)) {
    close(order, Status::Cancelled, name(Code::Overflow));
    return false;
  }
  const Units cash = static_cast<Units>(value);
  const Units fee = fee_of(buy ? qty : cash, bps);
  const Int128 base = Int128{holding.base.total} + (buy ? qty - fee : -qty);
  const Int128 quote = Int128{holding.quote.total} + (buy ? -cash : cash - fee);
  const auto position =
      holding.position.after(buy ? qty - fee : -qty, buy ? cash : -(cash - fee), state_.today());
  if (!fits(base) || !fits(quote) || !fits(order.executed_notional + value) || !position) {
    close(order, Status::Cancelled, name(Code::Overflow));
    return false;
  }
  if (order.open) {
    unlock(order);
  }
  holding.base.total = static_cast<Units>(base);
  holding.quote.total = static_cast<Units>(quote);
  holding.position = *position;
  order.executed += qty;
  order.executed_notional += cash;
  if (order.open) {
    lock(order);
  }
  ++account.trades;
  ++state_.fills;
  outbox_.fill(order, qty, price, fee, liquidity);
  if (order.leaves() != 0) {
    order.status = Status::PartiallyFilled;
    outbox_.order_update(order, {});
  } else {
    close(order, Status::Filled, {});
  }
  return true;
}

void Exchange::print(Instrument& instrument, PriceQty trade) {
  std::vector<Holding*> reached;
  add_reached(instrument, Shelf::Buys, trade.price, reached);
  add_reached(instrument, Shelf::Sells, trade.price, reached);
  for (Holding* holding : by_account(reached)) {
    Units left = trade.qty;
    fill_at(*holding, Shelf::Buys, trade, left);
    fill_at(*holding, Shelf::Sells, trade, left);
  }
  reached.clear();
  add_reached(instrument, Shelf::BuyStops, trade.price, reached);
  add_reached(instrument, Shelf::SellStops, trade.price, reached);
  for (Holding* holding : by_account(reached)) {
    stops_.clear();
    holding->ladder(Shelf::BuyStops).collect(trade.price, stops_);
    holding->ladder(Shelf::SellStops).collect(trade.price, stops_);
    std::ranges::sort(stops_, {}, &Order::rank);
    for (Order* order : stops_) {
      unopen(*order);
      trigger(*order);
    }
  }
}

void Exchange::fill_at(Holding& holding, Shelf shelf, PriceQty trade, Units& left) {
  Ladder& ladder = holding.ladder(shelf);
  while (left > 0 && !ladder.empty() && *ladder.best_key() <= ladder.key(trade.price)) {
    Order& order = *ladder.front();
    const Units qty = std::min(left, order.leaves());
    if (fill(order, order.price, qty, Liquidity::Maker)) {
      left -= qty;
    }
  }
}

void Exchange::book_changed(Instrument& instrument) {
  const auto bid = instrument.book.best(Side::Buy);
  const auto ask = instrument.book.best(Side::Sell);
  std::vector<Holding*> crossed;
  if (ask) {
    add_reached(instrument, Shelf::Buys, ask->price, crossed);
  }
  if (bid) {
    add_reached(instrument, Shelf::Sells, bid->price, crossed);
  }
  for (Holding* holding : by_account(crossed)) {
    fill_from_book(*holding, Side::Buy);
    fill_from_book(*holding, Side::Sell);
  }
}

void Exchange::fill_from_book(Holding& holding, Side side) {
  const Ladder& ladder = holding.ladder(side == Side::Buy ? Shelf::Buys : Shelf::Sells);
  // An order left with a remainder has exhausted every level that crosses it, and with them every
  // level that crosses a later one.
  while (!ladder.empty() && fill_from_levels(*ladder.front())) {
  }
}

/// Whether the order was closed by it.
bool Exchange::fill_from_levels(Order& order) {
  Holding& holding = *order.holding;
  walk({holding, order.side, order.leaves(), order.price, SelfTrade::None}, [&](Level& level, Units qty) {
    if (!fill(order, order.price, qty, Liquidity::Maker)) {
      return false;
    }
    level.take(holding.account.serial, qty);
    return true;
  });
  return order.closed();
}

void Exchange::open(Order& order) {
  order.open = true;
  lock(order);
  order.holding->put_on_shelf(order);
  order.holding->account.open_orders.insert(order);
  if (order.expire != 0) {
    state_.expiries.emplace(order.expire, &order);
  }
  ++state_.open_orders;
}

void Exchange::unopen(Order& order) {
  order.open = false;
  unlock(order);
  order.holding->take_off_shelf(order);
  order.holding->account.open_orders.erase(order);
  if (order.expire != 0) {
    state_.expiries.erase({order.expire, &order});
  }
  --state_.open_orders;
}

void Exchange::lock(Order& order) {
  order.lock = static_cast<Units>(order.lock_for(order.leaves()));
  order.holding->funds(order.side).locked += order.lock;
  order.holding->open_leaves[index(order.side)] += order.leaves();
}

void Exchange::unlock(Order& order) {
  order.holding->funds(order.side).locked -= order.lock;
  order.holding->open_leaves[index(order.side)] -= order.leaves();
  order.lock = 0;
}

void Exchange::forget(Account& account) {
  for (Order* order : account.orders_by_rank()) {
    unopen(*order);
    state_.orders.give_back(*order);
  }
  state_.accounts.erase(state_.accounts.find(account.name));
}

}  // namespace veloz
