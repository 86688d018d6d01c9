#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "commands.hpp"
#include "market_book.hpp"

namespace veloz {

struct Holding;

/// The four ladders a holding keeps its open orders on.
enum class Shelf : std::uint8_t { Buys, Sells, BuyStops, SellStops };
inline constexpr std::size_t kShelves = 4;

constexpr std::size_t index(Shelf shelf) {
  return static_cast<std::size_t>(shelf);
}

/// A symbol: its rules, its market, and which holdings have orders that the market may reach.
struct Instrument {
  /// Holdings by the key of their first order on a shelf, so that a print or a quote finds those it
  /// reaches without looking at the others.
  using Reach = std::set<std::pair<Units, Holding*>>;

  std::string symbol;
  std::string base;
  std::string quote;
  Units tick = 0;
  Units lot = 0;
  Units min_qty = 0;
  Units max_qty = 0;
  Units min_notional = 0;
  std::size_t number = 0;  // 0, 1, ... in the order of definition
  MarketBook book;
  std::optional<PriceQty> last;
  std::array<Reach, kShelves> reach;
};

}  // namespace veloz
