#include "market_book.hpp"

#include "test.hpp"

using namespace veloz;

namespace {

constexpr PriceQty kNone{};
using PriceLevels = std::vector<PriceQty>;

Units best_price(const MarketBook& book, Side side) {
  const auto best = book.best(side);
  return best ? best->price : 0;
}

}  // namespace

TEST("a quote is the whole book") {
  MarketBook book;
  CHECK(book.quote({99, 1}, {101, 2}) == BookChange::Changed);
  CHECK(book.quote({98, 3}, kNone) == BookChange::Changed);
  CHECK_EQ(best_price(book, Side::Buy), 98);
  CHECK(!book.best(Side::Sell));
}

TEST("a crossed quote clears the book and the next one counts") {
  MarketBook book;
  CHECK(book.quote({100, 1}, {100, 1}) == BookChange::Crossed);
  CHECK(!book.best(Side::Buy));
  CHECK(book.quote({99, 1}, {100, 1}) == BookChange::Changed);
}

TEST("the best level of a side comes last") {
  MarketBook book;
  book.snapshot(1, PriceLevels{{98, 1}, {99, 1}, {97, 1}}, PriceLevels{{102, 1}, {101, 1}, {103, 1}});
  CHECK_EQ(book.levels(Side::Buy).front().price(), 97);
  CHECK_EQ(best_price(book, Side::Buy), 99);
  CHECK_EQ(book.levels(Side::Sell).front().price(), 103);
  CHECK_EQ(best_price(book, Side::Sell), 101);
}

TEST("the first snapshot, and the first after a fault, brings the book into step") {
  MarketBook book;
  CHECK(book.snapshot(5, PriceLevels{{99, 1}}, PriceLevels{}) == BookChange::Synced);
  CHECK(book.snapshot(6, PriceLevels{{99, 1}}, PriceLevels{}) == BookChange::Changed);
  CHECK(book.update(9, 9, PriceLevels{}, PriceLevels{}) == BookChange::Gap);
  CHECK(book.snapshot(9, PriceLevels{{99, 1}}, PriceLevels{}) == BookChange::Synced);
}

TEST("an update must join the book's last id") {
  MarketBook book;
  CHECK(!book.expected_id());
  CHECK(book.update(1, 2, PriceLevels{{99, 1}}, PriceLevels{}) == BookChange::Gap);
  CHECK(book.update(3, 4, PriceLevels{{99, 1}}, PriceLevels{}) == BookChange::Ignored);
  book.snapshot(10, PriceLevels{{99, 1}}, PriceLevels{});
  CHECK(book.update(8, 10, PriceLevels{{99, 7}}, PriceLevels{}) == BookChange::Ignored);
  CHECK_EQ(book.best(Side::Buy)->qty, 1);
  CHECK(book.update(8, 12, PriceLevels{{99, 7}}, PriceLevels{}) == BookChange::Changed);
  CHECK_EQ(book.best(Side::Buy)->qty, 7);
  CHECK_EQ(book.expected_id().value_or(0), 13);
  CHECK(book.update(14, 15, PriceLevels{}, PriceLevels{}) == BookChange::Gap);
  CHECK(!book.best(Side::Buy));
}

TEST("an update that crosses the book ends it until a snapshot") {
  MarketBook book;
  book.snapshot(1, PriceLevels{{99, 1}}, PriceLevels{{101, 1}});
  CHECK(book.update(2, 2, PriceLevels{{101, 1}}, PriceLevels{}) == BookChange::Crossed);
  CHECK(book.update(3, 3, PriceLevels{{99, 1}}, PriceLevels{}) == BookChange::Ignored);
  CHECK(book.snapshot(4, PriceLevels{{102, 1}}, PriceLevels{{102, 1}}) == BookChange::Crossed);
  CHECK(book.snapshot(5, PriceLevels{{99, 1}}, PriceLevels{}) == BookChange::Synced);
}

TEST("ids up to 2^63 - 1 are taken") {
  MarketBook book;
  book.snapshot(kMaxUnits, PriceLevels{}, PriceLevels{});
  CHECK(book.update(kMaxUnits, kMaxUnits, PriceLevels{}, PriceLevels{}) == BookChange::Ignored);
  CHECK_EQ(book.expected_id().value_or(0), kMaxUnits);
}

TEST("a quantity of 0 removes a level and of a price named twice the later counts") {
  MarketBook book;
  book.snapshot(1, PriceLevels{{99, 1}, {98, 1}, {98, 4}}, PriceLevels{});
  book.update(2, 2, PriceLevels{{99, 0}, {55, 0}}, PriceLevels{});
  CHECK_EQ(best_price(book, Side::Buy), 98);
  CHECK_EQ(book.best(Side::Buy)->qty, 4);
}

TEST("what an account took is gone for it alone, until the level is named again") {
  MarketBook book;
  book.snapshot(1, PriceLevels{{99, 10}, {98, 5}}, PriceLevels{});
  Level& best = book.levels(Side::Buy).back();
  best.take(7, 4);
  best.take(7, 1);
  best.take(3, 2);
  CHECK_EQ(best.available(7), 5);
  CHECK_EQ(best.available(3), 8);
  CHECK_EQ(best.available(1), 10);
  book.update(2, 2, PriceLevels{{98, 6}}, PriceLevels{});
  CHECK_EQ(book.levels(Side::Buy).back().available(7), 5);
  book.update(3, 3, PriceLevels{{99, 10}}, PriceLevels{});
  CHECK_EQ(book.levels(Side::Buy).back().available(7), 10);
}

TEST("a quote renews both its levels") {
  MarketBook book;
  book.quote({99, 10}, {101, 10});
  book.levels(Side::Sell).back().take(1, 10);
  book.quote({99, 10}, {101, 10});
  CHECK_EQ(book.levels(Side::Sell).back().available(1), 10);
}
