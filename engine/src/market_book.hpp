#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "commands.hpp"
#include "decimal.hpp"
#include "types.hpp"

namespace veloz {

/// A price level of the market and what each account has taken from it since it was last named.
class Level {
 public:
  Level(Units price, Units qty) : price_(price), qty_(qty) {}

  Units price() const {
    return price_;
  }
  Units qty() const {
    return qty_;
  }
  Units available(std::uint64_t account_serial) const;
  void take(std::uint64_t account_serial, Units qty);
  void renew(Units price, Units qty);

 private:
  struct Taken {
    std::uint64_t account_serial;
    Units qty;
  };

  Units price_;
  Units qty_;
  std::vector<Taken> taken_;  // sorted by serial
};

/// What a market data command did to the book.
enum class BookChange : std::uint8_t { Ignored, Changed, Synced, Gap, Crossed };

/// One symbol's market: from quotes, or from depth snapshots and updates.
class MarketBook {
 public:
  /// Levels of a side with the best at the back: most changes happen there.
  using Levels = std::vector<Level>;

  bool has_snapshot() const {
    return has_snapshot_;
  }
  /// The id the next update must not be beyond; nothing before the first snapshot.
  std::optional<std::int64_t> expected_id() const;

  BookChange quote(PriceQty bid, PriceQty ask);
  BookChange snapshot(std::int64_t last_id, std::span<const PriceQty> bids, std::span<const PriceQty> asks);
  BookChange update(std::int64_t first_id, std::int64_t last_id, std::span<const PriceQty> bids,
                    std::span<const PriceQty> asks);

  /// Bids for Side::Buy, asks for Side::Sell.
  Levels& levels(Side side) {
    return sides_[index(side)];
  }
  const Levels& levels(Side side) const {
    return sides_[index(side)];
  }
  std::optional<PriceQty> best(Side side) const;

 private:
  void set(Side side, PriceQty level);
  void set_only(Side side, PriceQty level);
  void clear();
  bool crossed() const;

  std::array<Levels, 2> sides_;
  std::int64_t last_id_ = 0;
  bool has_snapshot_ = false;
  bool waiting_ = false;  // for a snapshot, after a fault
};

}  // namespace veloz
