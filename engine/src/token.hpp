#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

namespace veloz {

inline constexpr std::size_t kMaxToken = 64;

constexpr bool is_token_char(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == ':' || c == '/' || c == '-';
}

/// `[A-Za-z0-9._:/-]{1,64}`
constexpr bool is_token(std::string_view text) {
  return !text.empty() && text.size() <= kMaxToken && std::ranges::all_of(text, is_token_char);
}

inline std::uint64_t hash_of(std::string_view text) {
  return std::hash<std::string_view>{}(text);
}

/// A token held in place, with its hash: an order's id costs no allocation and is hashed once.
class Token {
 public:
  Token() = default;
  explicit Token(std::string_view text) {
    assign(text);
  }

  void assign(std::string_view text) {
    size_ = static_cast<std::uint8_t>(std::min(text.size(), kMaxToken));
    std::copy_n(text.data(), size_, text_.data());
    hash_ = hash_of(view());
  }
  std::string_view view() const {
    return {text_.data(), size_};
  }
  std::uint64_t hash() const {
    return hash_;
  }

 private:
  std::uint64_t hash_ = 0;
  std::uint8_t size_ = 0;
  std::array<char, kMaxToken> text_;
};

}  // namespace veloz
