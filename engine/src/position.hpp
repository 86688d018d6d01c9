#pragma once

#include <cstdint>
#include <optional>

#include "decimal.hpp"

namespace veloz {

inline constexpr Nanos kDay = 86'400'000'000'000;

/// Net quantity traded in a symbol, its cost, and the profit taken.
struct Position {
  Units qty = 0;
  Units cost = 0;
  Units realised = 0;
  std::int64_t day = 0;
  Units day_realised = 0;

  /// Not shown and not digested; its `day` no longer matters.
  bool blank() const {
    return qty == 0 && cost == 0 && realised == 0 && day_realised == 0;
  }
  bool reads_like(const Position& other) const;
  Units realised_on(std::int64_t today) const {
    return day == today ? day_realised : 0;
  }
  /// The position after a trade of (dq, dc) on `today`; nothing when a figure would not fit.
  std::optional<Position> after(Int128 dq, Int128 dc, std::int64_t today) const;
};

}  // namespace veloz
