#include "parser.hpp"

#include <algorithm>
#include <array>

#include "parse_commands.hpp"
#include "text.hpp"

namespace veloz {
namespace {

std::optional<Refusal> bad_byte(std::string_view line) {
  const auto bad = std::ranges::find_if(line, [](char c) { return c < 0x20 || c > 0x7e; });
  if (bad == line.end()) {
    return std::nullopt;
  }
  return Refusal{Code::BadByte,
                 text("byte ", std::to_string(static_cast<unsigned char>(*bad)), " at position ",
                      std::to_string(bad - line.begin() + 1), " is not printable ASCII")};
}

/// Takes `@<req>` off the line.
std::optional<std::int64_t> take_req(std::string_view& line) {
  if (!line.starts_with('@')) {
    return std::nullopt;
  }
  const std::string_view word = line.substr(0, line.find(' '));
  const auto req = parse_whole(word.substr(1));
  if (!req || *req == 0) {
    throw Refusal{Code::BadReq, text(shown(word), " must be @ and a number from 1 to 9223372036854775807")};
  }
  line.remove_prefix(word.size());
  return req;
}

}  // namespace

Parsed Parser::parse(std::string_view line) {
  Parsed parsed;
  parsed.refusal = bad_byte(line);
  const std::size_t first = line.find_first_not_of(' ');
  if (parsed.refusal || first == std::string_view::npos || line.starts_with('#')) {
    return parsed;
  }
  line.remove_prefix(first);
  try {
    parsed.req = take_req(line);
    words_.cut(line);
    parsed.command = read_command();
    if (const auto ts = words_.option("ts")) {
      parsed.ts = read_whole(*ts);
    }
  } catch (Refusal& refusal) {
    parsed.command.reset();
    parsed.refusal = std::move(refusal);
  }
  if (parsed.command && std::holds_alternative<Tick>(*parsed.command)) {
    parsed.ts = std::max(words_.whole(0), parsed.ts.value_or(0));
  }
  return parsed;
}

Command Parser::read_command() {
  using Reader = Command (*)(const Words&);
  struct Entry {
    std::string_view verb;
    Reader read;
  };
  static constexpr std::array entries{
      Entry{"ORDER", read_order},     Entry{"CANCEL", read_cancel},     Entry{"TRADE", read_trade},
      Entry{"QUOTE", read_quote},     Entry{"AMEND", read_amend},       Entry{"CANCEL_ALL", read_cancel_all},
      Entry{"CLOCK", read_clock},     Entry{"SYMBOL", read_symbol},     Entry{"ACCOUNT", read_account},
      Entry{"DEPOSIT", read_deposit}, Entry{"WITHDRAW", read_withdraw}, Entry{"LIMITS", read_limits},
      Entry{"HASH", read_hash},       Entry{"STATE", read_state},       Entry{"FORGET", read_forget},
      Entry{"STATS", read_stats},     Entry{"PING", read_ping},         Entry{"QUIT", read_quit},
      Entry{"RESTORE", read_restore},
  };
  const std::string_view verb = words_.verb();
  if (same_word(verb, "DEPTH")) {
    return read_depth();
  }
  const auto entry =
      std::ranges::find_if(entries, [verb](const Entry& e) { return same_word(verb, e.verb); });
  if (entry == entries.end()) {
    throw Refusal{Code::UnknownCommand, text(shown(verb), " is no command")};
  }
  return entry->read(words_);
}

Command Parser::read_depth() {
  const bool snapshot = words_.size() > 1 && same_word(words_.word(1), "SNAPSHOT");
  const bool update = words_.size() > 1 && same_word(words_.word(1), "UPDATE");
  if (!snapshot && !update) {
    throw Refusal{Code::BadArguments, "DEPTH takes a symbol and SNAPSHOT or UPDATE"};
  }
  const std::size_t count = snapshot ? 5 : 6;
  words_.expect(count, count, {"event_ts"});
  const std::string_view symbol = words_.token(0);
  const std::int64_t first_id = words_.whole(2);
  const std::int64_t last_id = words_.whole(count - 3);
  read_levels(words_.word(count - 2), bids_);
  read_levels(words_.word(count - 1), asks_);
  const auto event_ts = read_event_ts(words_);
  if (snapshot) {
    return DepthSnapshot{symbol, last_id, bids_, asks_, event_ts};
  }
  return DepthUpdate{symbol, first_id, last_id, bids_, asks_, event_ts};
}

std::vector<PriceQty>& Parser::read_levels(std::string_view given, std::vector<PriceQty>& levels) {
  levels.clear();
  if (given == "-") {
    return levels;
  }
  for (;;) {
    const std::size_t comma = given.find(',');
    const std::string_view level = given.substr(0, comma);
    const std::size_t colon = level.find(':');
    if (colon == std::string_view::npos) {
      throw Refusal{Code::BadNumber, text(shown(level), " is no level; write price:qty, or - for no levels")};
    }
    levels.push_back({read_positive(level.substr(0, colon)), read_decimal(level.substr(colon + 1))});
    if (comma == std::string_view::npos) {
      return levels;
    }
    given.remove_prefix(comma + 1);
  }
}

}  // namespace veloz
