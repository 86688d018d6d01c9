#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace veloz {

/// An amount, price or quantity in units of 1e-8.
using Units = std::int64_t;
/// Unix time in nanoseconds.
using Nanos = std::int64_t;
__extension__ typedef __int128 Int128;

inline constexpr Units kOne = 100'000'000;
inline constexpr Units kMaxUnits = std::numeric_limits<Units>::max();
inline constexpr Units kMinUnits = std::numeric_limits<Units>::min();

constexpr bool fits(Int128 value) {
  return value <= kMaxUnits && value >= kMinUnits;
}

/// n(p, q): floor(p * q / 1e8) for p, q >= 0. May exceed 64 bits.
constexpr Int128 notional(Units price, Units qty) {
  const Int128 product = Int128{price} * qty;
  // A division of 64 bits is many times faster, and nearly always enough.
  return fits(product) ? Int128{static_cast<Units>(product) / kOne} : product / kOne;
}

/// ceil(p * q / 1e8) for p, q >= 0.
constexpr Int128 notional_up(Units price, Units qty) {
  return (Int128{price} * qty + kOne - 1) / kOne;
}

/// ceil(amount * bps / 1e4) for amount >= 0; bps itself in units of 1e-8, at most 10000.
constexpr Units fee_of(Units amount, Units bps) {
  constexpr Int128 scale = Int128{10'000} * kOne;
  return static_cast<Units>((Int128{amount} * bps + scale - 1) / scale);
}

/// floor(|notional| * 1e8 / |qty|), 0 when qty is 0.
constexpr Int128 average_price(Units notional, Units qty) {
  if (qty == 0) {
    return 0;
  }
  const Int128 n = notional < 0 ? -Int128{notional} : Int128{notional};
  const Int128 q = qty < 0 ? -Int128{qty} : Int128{qty};
  return n * kOne / q;
}

/// Reads `[0-9]+(\.[0-9]{1,8})?` of at most 20 digits; nothing when malformed or out of range.
std::optional<Units> parse_decimal(std::string_view text);
/// The same with an optional leading minus sign.
std::optional<Units> parse_signed_decimal(std::string_view text);
/// Reads a whole number 0 ... 2^63-1 in decimal digits.
std::optional<std::int64_t> parse_whole(std::string_view text);

/// Appends plain notation without trailing zeros: `0.5`, `39000`, `-12.00000001`.
void append_decimal(std::string& out, Int128 units);
void append_integer(std::string& out, Int128 value);
std::string decimal_text(Int128 units);

}  // namespace veloz
