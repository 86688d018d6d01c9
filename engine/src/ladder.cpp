#include "ladder.hpp"

namespace veloz {

std::optional<Units> Ladder::best_key() const {
  return levels_.empty() ? std::nullopt : std::optional(levels_.begin()->first);
}

std::optional<Units> Ladder::best_price() const {
  return levels_.empty() ? std::nullopt : std::optional(sign_ * levels_.begin()->first);
}

void Ladder::push(Order& order, Units price) {
  Queue& queue = levels_[key(price)];
  order.previous = queue.tail;
  order.next = nullptr;
  (queue.tail != nullptr ? queue.tail->next : queue.head) = &order;
  queue.tail = &order;
}

void Ladder::erase(Order& order, Units price) {
  const auto it = levels_.find(key(price));
  Queue& queue = it->second;
  (order.previous != nullptr ? order.previous->next : queue.head) = order.next;
  (order.next != nullptr ? order.next->previous : queue.tail) = order.previous;
  order.previous = nullptr;
  order.next = nullptr;
  if (queue.head == nullptr) {
    levels_.erase(it);
  }
}

void Ladder::collect(Units price, std::vector<Order*>& out) const {
  const Units last = key(price);
  for (auto it = levels_.begin(); it != levels_.end() && it->first <= last; ++it) {
    for (Order* order = it->second.head; order != nullptr; order = order->next) {
      out.push_back(order);
    }
  }
}

}  // namespace veloz
