#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "instrument.hpp"
#include "ladder.hpp"
#include "limits.hpp"
#include "order_index.hpp"
#include "position.hpp"

namespace veloz {

struct Account;

struct Balance {
  Units total = 0;
  Units locked = 0;
  // As the last command left them: an `account` event is due when they differ.
  Units shown_total = 0;
  Units shown_locked = 0;

  Units free() const {
    return total - locked;
  }
};

/// What an account has in one symbol: its position and its open orders.
struct Holding {
  Holding(Account& owner, Instrument& what, Balance& base_balance, Balance& quote_balance);

  /// The balance an order of that side locks.
  Balance& funds(Side side) {
    return side == Side::Buy ? quote : base;
  }
  const Balance& funds(Side side) const {
    return side == Side::Buy ? quote : base;
  }
  Ladder& ladder(Shelf shelf) {
    return ladders[index(shelf)];
  }
  /// The best price of own resting orders of that side.
  std::optional<Units> best_resting(Side side) const;
  void put_on_shelf(Order& order);
  void take_off_shelf(Order& order);

  Account& account;
  Instrument& instrument;
  Balance& base;
  Balance& quote;
  Position position;
  Position shown;
  std::array<Int128, 2> open_leaves{};  // by side, waiting stops included
  std::array<Ladder, kShelves> ladders;
};

struct Account {
  std::string name;
  std::uint64_t serial = 0;  // never used again
  Limits limits;
  std::map<std::string, Balance, std::less<>> balances;
  std::map<std::string_view, std::unique_ptr<Holding>> holdings;  // by symbol
  std::vector<Holding*> holding_by_number;                        // by Instrument::number; may be null
  OrderIndex open_orders;
  std::uint64_t trades = 0;
  std::uint64_t next_rank = 1;
  std::deque<Nanos> passed_rate;  // when orders passed the order rate check, within the last second
  bool restoring = false;
  bool touched = false;  // by the command being carried out

  Holding& holding(Instrument& instrument);
  /// Its open orders, sorted by rank.
  std::vector<Order*> orders_by_rank() const;
};

}  // namespace veloz
