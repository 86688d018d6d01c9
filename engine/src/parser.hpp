#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "commands.hpp"
#include "lexer.hpp"

namespace veloz {

/// A line as read. Exactly one of `command` and `refusal` is set, or none for a line to ignore.
struct Parsed {
  std::optional<std::int64_t> req;
  std::optional<Nanos> ts;
  std::optional<Command> command;
  std::optional<Refusal> refusal;
};

/// Reads lines (section 1). A command's views and spans live until the next line, or the line's end.
class Parser {
 public:
  Parsed parse(std::string_view line);

 private:
  Command read_command();
  Command read_depth();
  std::vector<PriceQty>& read_levels(std::string_view text, std::vector<PriceQty>& levels);

  Words words_;
  std::vector<PriceQty> bids_;
  std::vector<PriceQty> asks_;
};

}  // namespace veloz
