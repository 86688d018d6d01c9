#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "order.hpp"

namespace veloz {

/// Open orders by client_order_id: open addressing with linear probing, so that a look-up meets one
/// line of the table and one order. Orders are not owned.
class OrderIndex {
 public:
  Order* find(std::string_view id) const;
  /// The id must not be there.
  void insert(Order& order);
  /// The order must be there.
  void erase(Order& order);

  std::size_t size() const {
    return size_;
  }
  std::vector<Order*> orders() const;

 private:
  struct Slot {
    std::uint64_t hash = 0;
    Order* order = nullptr;  // null: empty
  };

  std::size_t home(std::uint64_t hash) const {
    return hash & (slots_.size() - 1);
  }
  std::size_t after(std::size_t slot) const {
    return (slot + 1) & (slots_.size() - 1);
  }
  void put(Slot entry);
  void grow();

  std::vector<Slot> slots_;  // a power of two, at most half full; or none yet
  std::size_t size_ = 0;
};

}  // namespace veloz
