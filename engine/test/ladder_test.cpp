#include "ladder.hpp"

#include <array>

#include "test.hpp"

using namespace veloz;

TEST("a ladder gives the best price first and then the longest waiting") {
  std::array<Order, 4> orders;
  Ladder buys(Ladder::First::Highest);
  buys.push(orders[0], 99);
  buys.push(orders[1], 100);
  buys.push(orders[2], 100);
  buys.push(orders[3], 98);
  std::vector<Order*> reached;
  buys.collect(99, reached);
  CHECK(reached == (std::vector<Order*>{&orders[1], &orders[2], &orders[0]}));
  CHECK_EQ(buys.best_price().value_or(0), 100);
}

TEST("a ladder of sells gives the lowest price first") {
  std::array<Order, 2> orders;
  Ladder sells(Ladder::First::Lowest);
  sells.push(orders[0], 101);
  sells.push(orders[1], 100);
  CHECK(sells.front() == &orders[1]);
  CHECK(*sells.best_key() <= sells.key(100));
  CHECK(*sells.best_key() > sells.key(99));
}

TEST("orders leave a ladder from the front, the middle and the end") {
  std::array<Order, 4> orders;
  Ladder ladder(Ladder::First::Lowest);
  for (Order& order : orders) {
    ladder.push(order, 5);
  }
  ladder.erase(orders[1]);
  ladder.erase(orders[0]);
  ladder.erase(orders[3]);
  CHECK(ladder.front() == &orders[2]);
  ladder.push(orders[0], 5);
  ladder.erase(orders[2]);
  CHECK(ladder.front() == &orders[0]);
  ladder.erase(orders[0]);
  CHECK(ladder.empty());
  CHECK(!ladder.best_key());
}
