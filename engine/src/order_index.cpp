#include "order_index.hpp"

#include <utility>

namespace veloz {
namespace {

constexpr std::size_t kFirstSlots = 16;

}  // namespace

Order* OrderIndex::find(std::string_view id) const {
  if (slots_.empty()) {
    return nullptr;
  }
  const std::uint64_t hash = hash_of(id);
  for (std::size_t i = home(hash); slots_[i].order != nullptr; i = after(i)) {
    if (slots_[i].hash == hash && slots_[i].order->id.view() == id) {
      return slots_[i].order;
    }
  }
  return nullptr;
}

void OrderIndex::insert(Order& order) {
  if (slots_.size() < 2 * (size_ + 1)) {
    grow();
  }
  put({order.id.hash(), &order});
  ++size_;
}

void OrderIndex::erase(Order& order) {
  std::size_t hole = home(order.id.hash());
  while (slots_[hole].order != &order) {
    hole = after(hole);
  }
  // Moves back each following entry that the hole would cut off from its home.
  for (std::size_t i = after(hole); slots_[i].order != nullptr; i = after(i)) {
    const std::size_t mask = slots_.size() - 1;
    const std::size_t wandered = (i - home(slots_[i].hash)) & mask;
    if (wandered >= ((i - hole) & mask)) {
      slots_[hole] = slots_[i];
      hole = i;
    }
  }
  slots_[hole] = {};
  --size_;
}

std::vector<Order*> OrderIndex::orders() const {
  std::vector<Order*> out;
  out.reserve(size_);
  for (const Slot& slot : slots_) {
    if (slot.order != nullptr) {
      out.push_back(slot.order);
    }
  }
  return out;
}

void OrderIndex::put(Slot entry) {
  std::size_t i = home(entry.hash);
  while (slots_[i].order != nullptr) {
    i = after(i);
  }
  slots_[i] = entry;
}

void OrderIndex::grow() {
  std::vector<Slot> old = std::exchange(slots_, {});
  slots_.resize(old.empty() ? kFirstSlots : 2 * old.size());
  for (const Slot& slot : old) {
    if (slot.order != nullptr) {
      put(slot);
    }
  }
}

}  // namespace veloz
