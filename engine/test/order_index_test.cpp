#include "order_index.hpp"

#include <deque>
#include <string>
#include <unordered_map>

#include "test.hpp"

using namespace veloz;

TEST("an empty index finds nothing") {
  CHECK(OrderIndex().find("x") == nullptr);
}

TEST("the index agrees with a map through thousands of insertions and removals") {
  std::deque<Order> orders(500);
  std::unordered_map<std::string, Order*> expected;
  OrderIndex index;
  std::uint64_t seed = 7;
  for (int step = 0; step < 20'000; ++step) {
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    const std::size_t which = (seed >> 33) % orders.size();
    const std::string id = "id-" + std::to_string(which);
    if (const auto it = expected.find(id); it != expected.end()) {
      index.erase(*it->second);
      expected.erase(it);
    } else {
      orders[which].id.assign(id);
      index.insert(orders[which]);
      expected.emplace(id, &orders[which]);
    }
    const std::string other = "id-" + std::to_string((seed >> 20) % orders.size());
    const auto it = expected.find(other);
    CHECK(index.find(other) == (it == expected.end() ? nullptr : it->second));
  }
  CHECK_EQ(index.size(), expected.size());
  CHECK_EQ(index.orders().size(), expected.size());
  for (const auto& [id, order] : expected) {
    CHECK(index.find(id) == order);
  }
}
