#pragma once

#include <optional>
#include <vector>

#include "order.hpp"

namespace veloz {

/// An account's own orders of one kind in one symbol: by price, then by rank.
class Ladder {
 public:
  enum class First : bool { Lowest, Highest };

  explicit Ladder(First first) : sign_(first == First::Lowest ? 1 : -1) {}

  /// Prices as keys: a smaller key comes first. An order at key k is reached by price p when k <= key(p).
  Units key(Units price) const {
    return sign_ * price;
  }
  bool empty() const {
    return levels_.empty();
  }
  std::optional<Units> best_key() const;
  std::optional<Units> best_price() const;
  Order* front() const {
    return levels_.empty() ? nullptr : levels_.begin()->second.head;
  }

  /// Adds an order behind those at the same price: its rank must be greater than theirs.
  void push(Order& order, Units price);
  /// The order must be there.
  void erase(Order& order);
  /// Appends every order that `price` reaches, by price, then rank.
  void collect(Units price, std::vector<Order*>& out) const;

 private:
  Units sign_;
  Levels levels_;
};

}  // namespace veloz
