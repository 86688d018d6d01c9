#include "lexer.hpp"

#include <algorithm>

#include "text.hpp"
#include "token.hpp"

namespace veloz {
namespace {

constexpr std::size_t kShown = 80;

template <class T>
T require(std::optional<T> value, std::string_view given, std::string_view rule) {
  if (!value) {
    throw Refusal{Code::BadNumber, text(shown(given), " ", rule)};
  }
  return *value;
}

}  // namespace

std::string shown(std::string_view value) {
  return text("'", value.substr(0, kShown), value.size() > kShown ? "...'" : "'");
}

void Words::cut(std::string_view line) {
  verb_ = {};
  positional_.clear();
  options_.clear();
  std::size_t at = 0;
  while ((at = line.find_first_not_of(' ', at)) != std::string_view::npos) {
    const std::string_view word = line.substr(at, line.find(' ', at) - at);
    at += word.size();
    const std::size_t equals = verb_.empty() ? std::string_view::npos : word.find('=');
    if (verb_.empty()) {
      verb_ = word;
    } else if (equals != std::string_view::npos) {
      options_.push_back({word.substr(0, equals), word.substr(equals + 1)});
    } else if (options_.empty()) {
      positional_.push_back(word);
    } else {
      options_.push_back({{}, word});  // malformed; refused by expect()
    }
  }
}

void Words::expect(std::size_t least, std::size_t most,
                   std::initializer_list<std::string_view> options) const {
  if (size() < least || size() > most) {
    const std::string wanted =
        least == most ? std::to_string(least) : text(std::to_string(least), " to ", std::to_string(most));
    throw Refusal{Code::BadArguments, text(shown(verb_), " takes ", wanted, " words before its options, not ",
                                           std::to_string(size()))};
  }
  for (auto it = options_.begin(); it != options_.end(); ++it) {
    if (it->key.empty()) {
      throw Refusal{Code::BadOption, text(shown(it->value), " is no option; write key=value")};
    }
    if (it->key != "ts" && std::ranges::find(options, it->key) == options.end()) {
      throw Refusal{Code::BadOption, text(shown(verb_), " does not take the option ", shown(it->key))};
    }
    if (std::ranges::find(options_.begin(), it, it->key, &Option::key) != it) {
      throw Refusal{Code::BadOption, text("option ", shown(it->key), " is given twice")};
    }
  }
}

std::string_view Words::token(std::size_t i) const {
  return read_token(word(i));
}

Units Words::decimal(std::size_t i) const {
  return read_decimal(word(i));
}

Units Words::positive(std::size_t i) const {
  return read_positive(word(i));
}

std::int64_t Words::whole(std::size_t i) const {
  return read_whole(word(i));
}

std::optional<std::string_view> Words::option(std::string_view key) const {
  const auto it = std::ranges::find(options_, key, &Option::key);
  return it == options_.end() ? std::nullopt : std::optional(it->value);
}

std::string_view Words::required(std::string_view key) const {
  const auto value = option(key);
  if (!value) {
    throw Refusal{Code::BadArguments, text(shown(verb_), " needs the option ", key, "=")};
  }
  return *value;
}

std::string_view read_token(std::string_view given) {
  if (!is_token(given)) {
    throw Refusal{Code::BadToken, text(shown(given), " is no token of 1 to 64 of A-Z a-z 0-9 . _ : / -")};
  }
  return given;
}

Units read_decimal(std::string_view given) {
  return require(
      parse_decimal(given), given,
      "is no decimal: digits, at most 8 after the point and 20 in all, below 92233720368.54775808");
}

Units read_signed(std::string_view given) {
  return require(parse_signed_decimal(given), given,
                 "is no signed decimal: an optional -, digits, at most 8 after the point and 20 in all");
}

Units read_positive(std::string_view given) {
  const Units value = read_decimal(given);
  if (value == 0) {
    throw Refusal{Code::BadNumber, text(shown(given), " must be greater than 0")};
  }
  return value;
}

std::int64_t read_whole(std::string_view given) {
  return require(parse_whole(given), given, "is no whole number from 0 to 9223372036854775807");
}

bool read_flag(std::string_view key, std::string_view given) {
  if (given != "0" && given != "1") {
    throw Refusal{Code::BadOption, text(key, "=", shown(given), " must be 0 or 1")};
  }
  return given == "1";
}

}  // namespace veloz
