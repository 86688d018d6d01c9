#include "position.hpp"

#include "test.hpp"

using namespace veloz;

namespace {

constexpr Units kQty = kOne;
constexpr std::int64_t kToday = 20'000;

Position traded(const Position& from, Int128 dq, Int128 dc, std::int64_t day = kToday) {
  const auto after = from.after(dq, dc, day);
  CHECK(after.has_value());
  return after.value_or(Position{});
}

}  // namespace

TEST("buying twice adds quantity and cost") {
  const Position p = traded(traded({}, kQty, 100), 2 * kQty, 230);
  CHECK_EQ(p.qty, 3 * kQty);
  CHECK_EQ(p.cost, 330);
  CHECK_EQ(p.realised, 0);
}

TEST("selling a part realises its share of the profit") {
  const Position p = traded(traded({}, 4 * kQty, 400), -kQty, -130);
  CHECK_EQ(p.qty, 3 * kQty);
  CHECK_EQ(p.cost, 300);
  CHECK_EQ(p.realised, 30);
  CHECK_EQ(p.day_realised, 30);
}

TEST("selling more than is held turns the position over") {
  const Position p = traded(traded({}, kQty, 100), -3 * kQty, -360);
  CHECK_EQ(p.qty, -2 * kQty);
  CHECK_EQ(p.cost, -240);
  CHECK_EQ(p.realised, 20);
}

TEST("buying a short back at a lower price is a profit") {
  const Position p = traded(traded({}, -2 * kQty, -240), 2 * kQty, 200);
  CHECK_EQ(p.qty, 0);
  CHECK_EQ(p.cost, 0);
  CHECK_EQ(p.realised, 40);
}

TEST("parts are truncated toward zero, long and short alike") {
  CHECK_EQ(traded(traded({}, 3, 100), -1, -40).cost, 67);
  CHECK_EQ(traded(traded({}, -3, -100), 1, 40).cost, -67);
}

TEST("a buy whose fee takes everything realises its cost as a loss") {
  CHECK_EQ(traded({}, 0, 5).realised, -5);
}

TEST("a new day starts its own profit from nothing") {
  const Position first = traded(traded({}, 4 * kQty, 400), -kQty, -130);
  const Position second = traded(first, -kQty, -90, kToday + 1);
  CHECK_EQ(second.realised, 20);
  CHECK_EQ(second.day, kToday + 1);
  CHECK_EQ(second.day_realised, -10);
  CHECK_EQ(second.realised_on(kToday), 0);
}

TEST("a position that would not fit in 64 bits is refused") {
  const Position full{kMaxUnits, 1, 0, 0, 0};
  CHECK(!full.after(1, 1, kToday));
  CHECK(!(Position{1, kMaxUnits, 0, 0, 0}.after(1, 1, kToday)));
  CHECK(!(Position{1, kMinUnits, kMaxUnits, kToday, 0}.after(-1, -1, kToday)));
}

TEST("the extremes of 64 bits are reckoned with exactly") {
  const Position p = traded(Position{kMinUnits, kMinUnits, 0, 0, 0}, kMaxUnits, kMaxUnits);
  CHECK_EQ(p.qty, -1);
  CHECK_EQ(p.cost, -1);
  CHECK_EQ(p.realised, 0);
}

TEST("a blank position reads like none, whatever its day") {
  CHECK((Position{0, 0, 0, 5, 0}.reads_like(Position{})));
  CHECK(!(Position{0, 0, 1, 5, 0}.reads_like(Position{})));
  CHECK(!(Position{0, 0, 1, 5, 0}.reads_like(Position{0, 0, 1, 6, 0})));
}
