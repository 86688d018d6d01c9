// Words in, JSON out: the text side of the reference model.
#pragma once

#include "reference_model.hpp"

namespace veloz::reference {

struct Refusal {
  std::string code;
};

constexpr Wide kOne = 100'000'000;
constexpr std::int64_t kDayNs = 86'400'000'000'000;

[[nodiscard]] bool fits(Wide value);
[[nodiscard]] Wide floor_mul(Units price, Units qty);   // n(p, q) of section 7
[[nodiscard]] Wide ceil_div(Wide value, Wide divisor);  // of values that are not negative
[[nodiscard]] Wide magnitude(Wide value);

[[nodiscard]] Words split(const std::string& line);
[[nodiscard]] Units decimal(const std::string& text);  // may carry a leading minus
[[nodiscard]] Units positive(const std::string& text);
[[nodiscard]] std::string show(Wide units);  // plain decimal text

// One flat JSON object, keys in the order they are added.
class Json {
 public:
  explicit Json(std::string start) : text_(std::move(start)) {}
  Json& text(const std::string& key, const std::string& value);
  Json& number(const std::string& key, Wide units);
  Json& whole(const std::string& key, std::int64_t value);
  Json& raw(const std::string& key, const std::string& value);
  [[nodiscard]] std::string done() const {
    return text_ + "}";
  }

 private:
  std::string text_;
};

}  // namespace veloz::reference
