#include "decimal.hpp"

#include "test.hpp"

using namespace veloz;

TEST("a decimal keeps eight places exactly") {
  CHECK_EQ(parse_decimal("0.00000001").value_or(-1), 1);
  CHECK_EQ(parse_decimal("39000").value_or(-1), 39'000 * kOne);
  CHECK_EQ(parse_decimal("000.10").value_or(-1), kOne / 10);
}

TEST("the greatest decimal is 2^63 - 1 units and the next is refused") {
  CHECK_EQ(parse_decimal("92233720368.54775807").value_or(-1), kMaxUnits);
  CHECK(!parse_decimal("92233720368.54775808"));
  CHECK_EQ(parse_signed_decimal("-92233720368.54775808").value_or(0), kMinUnits);
  CHECK(!parse_signed_decimal("-92233720368.54775809"));
}

TEST("what is no plain decimal is refused") {
  for (const char* text : {"", ".", "1.", ".5", "-1", "+1", "1e5", "1.123456789", "0x1", "nan", "inf", "1,0",
                           "1 ", " 1", "1.2.3", "--1", "123456789012345678901", "1234567890123.00000000"}) {
    CHECK(!parse_decimal(text));
  }
}

TEST("a signed decimal takes one leading minus") {
  CHECK_EQ(parse_signed_decimal("-0.5").value_or(0), -kOne / 2);
  CHECK_EQ(parse_signed_decimal("0.5").value_or(0), kOne / 2);
  CHECK(!parse_signed_decimal("--0.5"));
  CHECK(!parse_signed_decimal("-"));
}

TEST("a whole number ends at 2^63 - 1") {
  CHECK_EQ(parse_whole("9223372036854775807").value_or(-1), kMaxUnits);
  CHECK(!parse_whole("9223372036854775808"));
  CHECK(!parse_whole("99999999999999999999"));
  CHECK(!parse_whole(""));
  CHECK(!parse_whole("1.0"));
  CHECK(!parse_whole("-1"));
}

TEST("decimals are written plainly, without trailing zeros") {
  CHECK_EQ(decimal_text(kOne / 2), "0.5");
  CHECK_EQ(decimal_text(39'000 * kOne), "39000");
  CHECK_EQ(decimal_text(-12 * kOne - 1), "-12.00000001");
  CHECK_EQ(decimal_text(0), "0");
  CHECK_EQ(decimal_text(-1), "-0.00000001");
  CHECK_EQ(decimal_text(kMinUnits), "-92233720368.54775808");
  CHECK_EQ(decimal_text(Int128{kMaxUnits} * 10'000), "922337203685477.5807");
}

TEST("every decimal survives writing and reading") {
  for (Units units = 1; units < kMaxUnits / 7; units = units * 7 + 3) {
    CHECK_EQ(parse_decimal(decimal_text(units)).value_or(-1), units);
    CHECK_EQ(parse_signed_decimal(decimal_text(-units)).value_or(1), -units);
  }
}

TEST("integers of 128 bits are written in full") {
  std::string out;
  append_integer(out, Int128{kMaxUnits} * kMaxUnits);
  CHECK_EQ(out, "85070591730234615847396907784232501249");
  out.clear();
  append_integer(out, kMinUnits);
  CHECK_EQ(out, "-9223372036854775808");
}

TEST("a notional is rounded down and a lock up") {
  CHECK(notional(3, kOne / 2) == 1);
  CHECK(notional_up(3, kOne / 2) == 2);
  CHECK(notional(kMaxUnits, kMaxUnits) > kMaxUnits);
}

TEST("a fee is rounded up and never exceeds its amount") {
  CHECK_EQ(fee_of(1, kOne), 1);
  CHECK_EQ(fee_of(10'000, kOne), 1);
  CHECK_EQ(fee_of(10'001, kOne), 2);
  CHECK_EQ(fee_of(100'000'000, 7 * kOne + kOne / 2), 75'000);
  CHECK_EQ(fee_of(kMaxUnits, 10'000 * kOne), kMaxUnits);
  CHECK_EQ(fee_of(12'345, 0), 0);
}

TEST("an average price is that of the magnitudes, and 0 when flat") {
  CHECK(average_price(-7 * kOne, -2 * kOne) == 7 * kOne / 2);
  CHECK(average_price(5, 0) == 0);
  CHECK(average_price(kMinUnits, 1) == Int128{kMaxUnits} * kOne + kOne);
}
