#include "position.hpp"

#include <algorithm>

namespace veloz {
namespace {

constexpr Int128 magnitude(Int128 value) {
  return value < 0 ? -value : value;
}

}  // namespace

bool Position::reads_like(const Position& other) const {
  if (blank() || other.blank()) {
    return blank() == other.blank();
  }
  return qty == other.qty && cost == other.cost && realised == other.realised && day == other.day &&
         day_realised == other.day_realised;
}

std::optional<Position> Position::after(Int128 dq, Int128 dc, std::int64_t today) const {
  Int128 new_qty = qty;
  Int128 new_cost = cost;
  Int128 gain = 0;
  if (dq == 0) {
    gain = -dc;
  } else if (qty == 0 || (qty > 0) == (dq > 0)) {
    new_qty += dq;
    new_cost += dc;
  } else {
    const Int128 closed = std::min(magnitude(dq), magnitude(qty));
    const Int128 cost_part = Int128{cost} * closed / magnitude(qty);
    const Int128 cash_part = dc * closed / magnitude(dq);
    gain = -(cash_part + cost_part);
    new_qty += dq;
    new_cost = magnitude(dq) > closed ? dc - cash_part : new_cost - cost_part;
  }
  const Int128 new_realised = realised + gain;
  const Int128 new_day_realised = realised_on(today) + gain;
  if (!fits(new_qty) || !fits(new_cost) || !fits(new_realised) || !fits(new_day_realised)) {
    return std::nullopt;
  }
  return Position{static_cast<Units>(new_qty), static_cast<Units>(new_cost), static_cast<Units>(new_realised),
                  today, static_cast<Units>(new_day_realised)};
}

}  // namespace veloz
