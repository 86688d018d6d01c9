#include "reference_text.hpp"

#include <algorithm>
#include <cctype>
#include <limits>
#include <sstream>

namespace veloz::reference {

bool fits(Wide value) {
  return value <= std::numeric_limits<Units>::max() && value >= std::numeric_limits<Units>::min();
}

Wide floor_mul(Units price, Units qty) {
  return Wide(price) * qty / kOne;
}

Wide ceil_div(Wide value, Wide divisor) {
  return (value + divisor - 1) / divisor;
}

Wide magnitude(Wide value) {
  return value < 0 ? -value : value;
}

std::string Words::option(const std::string& key, const std::string& otherwise) const {
  const auto found = options.find(key);
  return found == options.end() ? otherwise : found->second;
}

Words split(const std::string& line) {
  Words words;
  std::istringstream input(line);
  for (std::string word; input >> word;) {
    const auto equals = word.find('=');
    if (words.verb.empty() && word[0] == '@') {
      words.req = std::stoll(word.substr(1));
    } else if (words.verb.empty()) {
      words.verb = word;
    } else if (equals != std::string::npos) {
      words.options[word.substr(0, equals)] = word.substr(equals + 1);
    } else {
      words.at.push_back(word);
    }
  }
  return words;
}

Units decimal(const std::string& text) {
  const bool negative = text[0] == '-';
  Wide value = 0;
  int places = -1;  // digits seen after the point; -1 before it
  for (std::size_t i = negative ? 1 : 0; i < text.size(); ++i) {
    if (text[i] == '.') {
      places = 0;
      continue;
    }
    value = value * 10 + (text[i] - '0');
    places += places >= 0 ? 1 : 0;
  }
  for (int i = std::max(places, 0); i < 8; ++i)
    value *= 10;
  if (!fits(value))
    throw Refusal{"BAD_NUMBER"};
  return static_cast<Units>(negative ? -value : value);
}

Units positive(const std::string& text) {
  const Units value = decimal(text);
  if (value <= 0)
    throw Refusal{"BAD_NUMBER"};
  return value;
}

std::string show(Wide units) {
  const Wide size = magnitude(units);
  std::string fraction = std::to_string(static_cast<std::uint64_t>(kOne + size % kOne)).substr(1);
  while (!fraction.empty() && fraction.back() == '0')
    fraction.pop_back();
  const std::string whole = std::to_string(static_cast<std::uint64_t>(size / kOne));
  return (units < 0 ? "-" : "") + whole + (fraction.empty() ? "" : ".") + fraction;
}

Json& Json::raw(const std::string& key, const std::string& value) {
  if (text_.back() != '{')
    text_ += ",";
  text_ += "\"" + key + "\":" + value;
  return *this;
}

Json& Json::text(const std::string& key, const std::string& value) {
  return raw(key, "\"" + value + "\"");
}

Json& Json::number(const std::string& key, Wide units) {
  return raw(key, show(units));
}

Json& Json::whole(const std::string& key, std::int64_t value) {
  return raw(key, std::to_string(value));
}

}  // namespace veloz::reference
