#include "risk.hpp"

#include "walk.hpp"

namespace veloz {
namespace {

constexpr Nanos kSecond = 1'000'000'000;

bool bad_tick(const Instrument& instrument, const Order& order) {
  return order.price % instrument.tick != 0 || order.stop % instrument.tick != 0;
}

bool bad_lot(const Instrument& instrument, Units qty) {
  return qty % instrument.lot != 0 || qty < instrument.min_qty ||
         (instrument.max_qty != 0 && qty > instrument.max_qty);
}

bool exceeds(Int128 value, Units limit) {
  return limit != 0 && value > limit;
}

/// |P - L| * 10000 > L * bps, with bps in units of 1e-8.
bool outside_band(const Instrument& instrument, Units bps, std::optional<Units> price) {
  if (bps == 0 || !price || !instrument.last) {
    return false;
  }
  const Int128 last = instrument.last->price;
  const Int128 distance = *price > last ? *price - last : last - *price;
  return distance * 10'000 * kOne > last * bps;
}

std::optional<Units> banded_price(const Order& order) {
  return order.type == OrderType::Stop ? std::nullopt : std::optional(order.price);
}

bool beyond_position(const Holding& holding, const Order& order, Int128 other_leaves) {
  const Units limit = holding.account.limits.max_position;
  const Int128 position = holding.position.qty;
  return order.side == Side::Buy ? exceeds(position + other_leaves + order.leaves(), limit)
                                 : exceeds(-(position - other_leaves - order.leaves()), limit);
}

bool daily_loss_reached(const State& state, const Holding& holding) {
  const Units limit = holding.account.limits.daily_loss;
  if (limit == 0) {
    return false;
  }
  Int128 sum = 0;
  for (const auto& [symbol, other] : holding.account.holdings) {
    if (other->instrument.quote == holding.instrument.quote) {
      sum += other->position.realised_on(state.today());
    }
  }
  return -sum >= limit;
}

bool too_fast(Account& account, Nanos now) {
  if (account.limits.order_rate == 0) {
    return false;
  }
  auto& passed = account.passed_rate;
  while (!passed.empty() && now - passed.front() >= kSecond) {
    passed.pop_front();
  }
  if (passed.size() >= static_cast<std::uint64_t>(account.limits.order_rate)) {
    return true;
  }
  passed.push_back(now);
  return false;
}

bool would_take(const Instrument& instrument, const Order& order) {
  const auto best = instrument.book.best(opposite(order.side));
  return order.tif == TimeInForce::Gtx && best && crosses(order.side, order.price, best->price);
}

/// Overflow to price band: what depends on the order's value. `needs` is n(price, qty) or the walk's cost.
std::optional<Code> refusal_of_value(const Order& order, Int128 value, std::optional<Units> price) {
  const Instrument& instrument = order.holding->instrument;
  const Limits& limits = order.holding->account.limits;
  if (!fits(value)) {
    return Code::Overflow;
  }
  if (order.type != OrderType::Market && value < instrument.min_notional) {
    return Code::MinNotional;
  }
  if (exceeds(value, limits.max_notional)) {
    return Code::MaxNotional;
  }
  if (outside_band(instrument, limits.price_band_bps, price)) {
    return Code::PriceBand;
  }
  return std::nullopt;
}

std::optional<Code> refusal_of_shape(const State& state, const Order& order) {
  const Limits& limits = order.holding->account.limits;
  if (state.kill || limits.kill) {
    return Code::KillSwitch;
  }
  if (bad_tick(order.holding->instrument, order)) {
    return Code::BadTick;
  }
  if (bad_lot(order.holding->instrument, order.qty)) {
    return Code::BadLot;
  }
  if (exceeds(order.qty, limits.max_order_qty)) {
    return Code::MaxOrderQty;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Code> refusal_of_new(const State& state, const Order& order) {
  Holding& holding = *order.holding;
  Account& account = holding.account;
  const bool market = order.type == OrderType::Market;
  if (const auto code = refusal_of_shape(state, order)) {
    return code;
  }
  const DryWalk walked =
      market ? dry_walk({holding, order.side, order.qty, std::nullopt, order.stp}) : DryWalk{};
  const Int128 value = market ? walked.cost : notional(order.value_price(), order.qty);
  if (const auto code = refusal_of_value(order, value, market ? walked.last_price : banded_price(order))) {
    return code;
  }
  if (!market && exceeds(Int128{account.open_orders.size()} + 1, account.limits.max_open_orders)) {
    return Code::MaxOpenOrders;
  }
  if (beyond_position(holding, order, holding.open_leaves[index(order.side)])) {
    return Code::PositionLimit;
  }
  if (daily_loss_reached(state, holding)) {
    return Code::DailyLoss;
  }
  if (too_fast(account, state.clock)) {
    return Code::OrderRate;
  }
  const Int128 needed = market && order.side == Side::Buy ? walked.cost : order.lock_for(order.qty);
  if (holding.funds(order.side).free() < needed) {
    return Code::InsufficientFunds;
  }
  return would_take(holding.instrument, order) ? std::optional(Code::PostOnlyWouldTake) : std::nullopt;
}

std::optional<Code> refusal_of_amendment(const State& state, const Order& order, const Amendment& wanted) {
  const Holding& holding = *order.holding;
  Order amended = order;
  amended.qty = wanted.qty;
  amended.price = wanted.price;
  amended.stop = wanted.stop;
  const Int128 value = notional(amended.value_price(), amended.qty);
  if (wanted.only_less(order)) {
    if (bad_lot(holding.instrument, wanted.qty)) {
      return Code::BadLot;
    }
    return value < holding.instrument.min_notional ? std::optional(Code::MinNotional) : std::nullopt;
  }
  if (const auto code = refusal_of_shape(state, amended)) {
    return code;
  }
  if (const auto code = refusal_of_value(amended, value, banded_price(amended))) {
    return code;
  }
  if (beyond_position(holding, amended, holding.open_leaves[index(order.side)] - order.leaves())) {
    return Code::PositionLimit;
  }
  if (holding.funds(order.side).free() + Int128{order.lock} < amended.lock_for(amended.leaves())) {
    return Code::InsufficientFunds;
  }
  if (would_take(holding.instrument, amended)) {
    return Code::PostOnlyWouldTake;
  }
  const auto wall = own_wall(holding, order.side, order.stp);
  if (!order.waiting() && wall && crosses(order.side, amended.price, *wall)) {
    return Code::SelfTrade;
  }
  return std::nullopt;
}

}  // namespace veloz
