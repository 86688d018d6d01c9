#include "ladder.hpp"

namespace veloz {

std::optional<Units> Ladder::best_key() const {
  return levels_.empty() ? std::nullopt : std::optional(levels_.begin()->first);
}

std::optional<Units> Ladder::best_price() const {
  return levels_.empty() ? std::nullopt : std::optional(sign_ * levels_.begin()->first);
}

void Ladder::push(Order& order, Units price) {
  order.level = levels_.try_emplace(key(price)).first;
  Queue& queue = order.level->second;
  order.previous = queue.tail;
  order.next = nullptr;
  (queue.tail != nullptr ? queue.tail->next : queue.head) = &order;
  queue.tail = &order;
}

void Ladder::erase(Order& order) {
  Queue& queue = order.level->second;
  (order.previous != nullptr ? order.previous->next : queue.head) = order.next;
  (order.next != nullptr ? order.next->previous : queue.tail) = order.previous;
  order.previous = nullptr;
  order.next = nullptr;
  if (queue.head == nullptr) {
    levels_.erase(order.level);
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
