#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "decimal.hpp"
#include "types.hpp"

namespace veloz {

/// Why a line could not be read as a command.
struct Refusal {
  Code code = Code::BadArguments;
  std::string message;
};

/// A value for messages: quoted and cut when it is long.
std::string shown(std::string_view value);

/// The words of a line: verb, positional words, options. Reading a word that is not what it should be
/// throws a Refusal.
class Words {
 public:
  /// Cuts `line`, keeping views into it.
  void cut(std::string_view line);

  std::string_view verb() const {
    return verb_;
  }
  std::size_t size() const {
    return positional_.size();
  }

  /// Checks the number of positional words, then the names of the options (`ts` is always allowed).
  void expect(std::size_t least, std::size_t most,
              std::initializer_list<std::string_view> options = {}) const;

  std::string_view word(std::size_t i) const {
    return positional_[i];
  }
  std::string_view token(std::size_t i) const;
  Units decimal(std::size_t i) const;
  Units positive(std::size_t i) const;
  std::int64_t whole(std::size_t i) const;

  std::optional<std::string_view> option(std::string_view key) const;
  std::string_view required(std::string_view key) const;

 private:
  struct Option {
    std::string_view key;
    std::string_view value;
  };

  std::string_view verb_;
  std::vector<std::string_view> positional_;
  std::vector<Option> options_;
};

std::string_view read_token(std::string_view text);
Units read_decimal(std::string_view text);
Units read_signed(std::string_view text);
Units read_positive(std::string_view text);
std::int64_t read_whole(std::string_view text);
bool read_flag(std::string_view key, std::string_view text);

}  // namespace veloz
