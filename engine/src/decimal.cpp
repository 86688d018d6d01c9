#include "decimal.hpp"

#include <array>

namespace veloz {
namespace {

constexpr std::size_t kMaxDigits = 20;
constexpr std::size_t kDecimals = 8;
constexpr std::uint64_t kOneUnsigned = kOne;

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// The digits' value; at most 28 of them fit in 128 bits with room to spare.
std::optional<Int128> read_digits(std::string_view digits, Int128 value = 0) {
  for (const char c : digits) {
    if (!is_digit(c)) {
      return std::nullopt;
    }
    value = value * 10 + (c - '0');
  }
  return value;
}

std::optional<Int128> read_magnitude(std::string_view text) {
  const std::size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  const std::string_view fraction =
      point == std::string_view::npos ? std::string_view{} : text.substr(point + 1);
  if (whole.empty() || (point != std::string_view::npos && fraction.empty()) || fraction.size() > kDecimals ||
      whole.size() + fraction.size() > kMaxDigits) {
    return std::nullopt;
  }
  auto value = read_digits(whole);
  if (value) {
    value = read_digits(fraction, *value);
  }
  if (!value) {
    return std::nullopt;
  }
  for (std::size_t i = fraction.size(); i < kDecimals; ++i) {
    *value *= 10;
  }
  return value;
}

}  // namespace

std::optional<Units> parse_decimal(std::string_view text) {
  const auto value = read_magnitude(text);
  if (!value || !fits(*value)) {
    return std::nullopt;
  }
  return static_cast<Units>(*value);
}

std::optional<Units> parse_signed_decimal(std::string_view text) {
  if (!text.starts_with('-')) {
    return parse_decimal(text);
  }
  const auto value = read_magnitude(text.substr(1));
  if (!value || !fits(-*value)) {
    return std::nullopt;
  }
  return static_cast<Units>(-*value);
}

std::optional<std::int64_t> parse_whole(std::string_view text) {
  if (text.empty() || text.size() > kMaxDigits) {
    return std::nullopt;
  }
  const auto value = read_digits(text);
  if (!value || !fits(*value)) {
    return std::nullopt;
  }
  return static_cast<std::int64_t>(*value);
}

void append_integer(std::string& out, Int128 value) {
  __extension__ using Wide = unsigned __int128;
  std::array<char, 40> digits;  // 39 digits of 2^127 and a sign
  char* const end = digits.data() + digits.size();
  char* first = end;
  Wide rest = value < 0 ? -static_cast<Wide>(value) : static_cast<Wide>(value);
  while (rest > UINT64_MAX) {
    *--first = static_cast<char>('0' + static_cast<int>(rest % 10));
    rest /= 10;
  }
  // Nearly all numbers; a division of 64 bits is many times faster.
  auto narrow = static_cast<std::uint64_t>(rest);
  do {
    *--first = static_cast<char>('0' + narrow % 10);
    narrow /= 10;
  } while (narrow != 0);
  if (value < 0) {
    *--first = '-';
  }
  out.append(first, static_cast<std::size_t>(end - first));
}

void append_decimal(std::string& out, Int128 units) {
  if (units < 0) {
    out += '-';
    units = -units;
  }
  std::uint32_t fraction = 0;
  if (units <= kMaxUnits) {
    const auto narrow = static_cast<std::uint64_t>(units);
    append_integer(out, narrow / kOneUnsigned);
    fraction = static_cast<std::uint32_t>(narrow % kOneUnsigned);
  } else {
    append_integer(out, units / kOne);
    fraction = static_cast<std::uint32_t>(units % kOne);
  }
  if (fraction == 0) {
    return;
  }
  std::array<char, kDecimals + 1> text{'.'};
  for (std::size_t i = kDecimals; i > 0; --i) {
    text[i] = static_cast<char>('0' + fraction % 10);
    fraction /= 10;
  }
  std::size_t size = text.size();
  while (text[size - 1] == '0') {
    --size;
  }
  out.append(text.data(), size);
}

std::string decimal_text(Int128 units) {
  std::string out;
  append_decimal(out, units);
  return out;
}

}  // namespace veloz
