#pragma once

#include <algorithm>
#include <optional>

#include "account.hpp"

namespace veloz {

/// An incoming order as a walk over the market book sees it.
struct Walker {
  Holding& holding;
  Side side;
  Units leaves;
  std::optional<Units> limit;  // none for MARKET
  SelfTrade stp;
};

constexpr bool crosses(Side side, Units limit, Units level_price) {
  return side == Side::Buy ? level_price <= limit : level_price >= limit;
}

/// The price at and beyond which a walk would pass an own resting order.
inline std::optional<Units> own_wall(const Holding& holding, Side side, SelfTrade stp) {
  return stp == SelfTrade::None ? std::nullopt : holding.best_resting(opposite(side));
}

/// Walks the opposite side from its best level while something is left, levels cross the limit and
/// no own resting order stands in the way. Calls `take(level, qty)` for each quantity to be had until
/// it answers false. Returns whether an own order ended the walk.
template <class Take>
bool walk(const Walker& walker, Take take) {
  auto& levels = walker.holding.instrument.book.levels(opposite(walker.side));
  const auto wall = own_wall(walker.holding, walker.side, walker.stp);
  Units leaves = walker.leaves;
  for (auto level = levels.rbegin(); level != levels.rend() && leaves > 0; ++level) {
    if (walker.limit && !crosses(walker.side, *walker.limit, level->price())) {
      return false;
    }
    if (wall && crosses(walker.side, level->price(), *wall)) {
      return true;
    }
    const Units qty = std::min(leaves, level->available(walker.holding.account.serial));
    if (qty == 0) {
      continue;
    }
    if (!take(*level, qty)) {
      return false;
    }
    leaves -= qty;
  }
  return false;
}

/// What a walk would do.
struct DryWalk {
  Units filled = 0;
  Int128 cost = 0;  // the sum of n(price, qty)
  std::optional<Units> last_price;
};

inline DryWalk dry_walk(const Walker& walker) {
  DryWalk result;
  walk(walker, [&](const Level& level, Units qty) {
    result.filled += qty;
    result.cost += notional(level.price(), qty);
    result.last_price = level.price();
    return true;
  });
  return result;
}

}  // namespace veloz
