#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "instrument.hpp"
#include "ladder.hpp"
#include "limits.hpp"
#include "position.hpp"

namespace veloz {

struct Account;

struct Balance {
  Units total = 0;
  Units locked = 0;
  // As the last command left them: an `account` event is due when they differ.
  Units shown_total = 0;
  Units shown_locked = 0;

  Units free() const { return total - locked; }
};

/// What an account has in one symbol: its position and its open orders.
struct Holding {
  Holding(Account& owner, Instrument& what, Balance& base_balance, Balance& quote_balance);

  /// The balance an order of that side locks.
  Balance& funds(Side side) { return side == Side::Buy ? quote : base; }
  const Balance& funds(Side side) const { return side == Side::Buy ? quote : base; }
  Ladder& ladder(Shelf shelf) { return ladders[index(shelf)]; }
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

struct OrderIdHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view id) const { return std::hash<std::string_view>{}(id); }
  std::size_t operator()(const Order* order) const { return (*this)(order->id.view()); }
};

struct SameOrderId {
  using is_transparent = void;
  static std::string_view id(std::string_view text) { return text; }
  static std::string_view id(const Order* order) { return order->id.view(); }
  template <class A, class B>
  bool operator()(const A& a, const B& b) const {
    return id(a) == id(b);
  }
};

struct Account {
  std::string name;
  std::uint64_t serial = 0;  // never used again
  Limits limits;
  std::map<std::string, Balance, std::less<>> balances;
  std::map<std::string_view, std::unique_ptr<Holding>> holdings;  // by symbol
  std::vector<Holding*> holding_by_number;                        // by Instrument::number; may be null
  std::unordered_set<Order*, OrderIdHash, SameOrderId> open_orders;
  std::uint64_t trades = 0;
  std::uint64_t next_rank = 1;
  std::deque<Nanos> passed_rate;  // when orders passed the order rate check, within the last second
  bool restoring = false;
  bool touched = false;  // by the command being carried out

  Order* find(std::string_view client_order_id) const;
  Holding& holding(Instrument& instrument);
  /// Its open orders, sorted by rank.
  std::vector<Order*> orders_by_rank() const;
};

}  // namespace veloz
