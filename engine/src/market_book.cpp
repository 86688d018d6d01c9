#include "market_book.hpp"

#include <algorithm>

namespace veloz {
namespace {

template <class Taken>
auto find_taken(Taken& taken, std::uint64_t account_serial) {
  return std::lower_bound(
      taken.begin(), taken.end(), account_serial,
      [](const auto& entry, std::uint64_t serial) { return entry.account_serial < serial; });
}

}  // namespace

Units Level::available(std::uint64_t account_serial) const {
  const auto it = find_taken(taken_, account_serial);
  return it != taken_.end() && it->account_serial == account_serial ? qty_ - it->qty : qty_;
}

void Level::take(std::uint64_t account_serial, Units qty) {
  const auto it = find_taken(taken_, account_serial);
  if (it != taken_.end() && it->account_serial == account_serial) {
    it->qty += qty;
  } else {
    taken_.insert(it, Taken{account_serial, qty});
  }
}

void Level::renew(Units price, Units qty) {
  price_ = price;
  qty_ = qty;
  taken_.clear();
}

std::optional<std::int64_t> MarketBook::expected_id() const {
  // last_id_ is at most 2^63 - 1, and nothing follows that.
  return has_snapshot_ ? std::optional(last_id_ == kMaxUnits ? last_id_ : last_id_ + 1) : std::nullopt;
}

BookChange MarketBook::quote(PriceQty bid, PriceQty ask) {
  set_only(Side::Buy, bid);
  set_only(Side::Sell, ask);
  if (crossed()) {
    clear();
    return BookChange::Crossed;
  }
  return BookChange::Changed;
}

BookChange MarketBook::snapshot(std::int64_t last_id, std::span<const PriceQty> bids,
                                std::span<const PriceQty> asks) {
  const bool synced = !has_snapshot_ || waiting_;
  clear();
  for (const PriceQty& level : bids) {
    set(Side::Buy, level);
  }
  for (const PriceQty& level : asks) {
    set(Side::Sell, level);
  }
  has_snapshot_ = true;
  last_id_ = last_id;
  waiting_ = crossed();
  if (waiting_) {
    clear();
    return BookChange::Crossed;
  }
  return synced ? BookChange::Synced : BookChange::Changed;
}

BookChange MarketBook::update(std::int64_t first_id, std::int64_t last_id, std::span<const PriceQty> bids,
                              std::span<const PriceQty> asks) {
  if (waiting_ || (has_snapshot_ && last_id <= last_id_)) {
    return BookChange::Ignored;
  }
  if (!has_snapshot_ || first_id > last_id_ + 1) {
    clear();
    waiting_ = true;
    return BookChange::Gap;
  }
  for (const PriceQty& level : bids) {
    set(Side::Buy, level);
  }
  for (const PriceQty& level : asks) {
    set(Side::Sell, level);
  }
  last_id_ = last_id;
  if (crossed()) {
    clear();
    waiting_ = true;
    return BookChange::Crossed;
  }
  return BookChange::Changed;
}

std::optional<PriceQty> MarketBook::best(Side side) const {
  const Levels& levels = sides_[index(side)];
  if (levels.empty()) {
    return std::nullopt;
  }
  return PriceQty{levels.back().price(), levels.back().qty()};
}

void MarketBook::set(Side side, PriceQty level) {
  Levels& levels = sides_[index(side)];
  const auto it =
      std::lower_bound(levels.begin(), levels.end(), level.price, [side](const Level& l, Units price) {
        return side == Side::Buy ? l.price() < price : l.price() > price;
      });
  const bool found = it != levels.end() && it->price() == level.price;
  if (level.qty == 0) {
    if (found) {
      levels.erase(it);
    }
  } else if (found) {
    it->renew(level.price, level.qty);
  } else {
    levels.insert(it, Level(level.price, level.qty));
  }
}

void MarketBook::set_only(Side side, PriceQty level) {
  Levels& levels = sides_[index(side)];
  if (level.qty == 0) {
    levels.clear();
  } else if (levels.size() == 1) {
    levels.front().renew(level.price, level.qty);
  } else {
    levels.clear();
    levels.emplace_back(level.price, level.qty);
  }
}

void MarketBook::clear() {
  for (Levels& levels : sides_) {
    levels.clear();
  }
}

bool MarketBook::crossed() const {
  const auto bid = best(Side::Buy);
  const auto ask = best(Side::Sell);
  return bid && ask && bid->price >= ask->price;
}

}  // namespace veloz
