#include "parse_commands.hpp"

#include "text.hpp"

/// Verbs of set-up, accounts and market data (sections 3, 4 and 6).
namespace veloz {
namespace {

Units optional_decimal(const Words& words, std::string_view key) {
  const auto value = words.option(key);
  return value ? read_decimal(*value) : 0;
}

Units bps(std::string_view key, std::string_view value) {
  const Units read = read_decimal(value);
  if (read > 10'000 * kOne) {
    throw Refusal{Code::BadNumber, text(key, "=", shown(value), " must be 0 to 10000 basis points")};
  }
  return read;
}

template <class Read>
auto optional_value(const Words& words, std::string_view key, Read read)
    -> std::optional<decltype(read(std::string_view{}))> {
  const auto value = words.option(key);
  return value ? std::optional(read(*value)) : std::nullopt;
}

TransferFunds read_transfer(const Words& words) {
  words.expect(2, 2, {"acct", "ref"});
  TransferFunds command;
  command.asset = words.token(0);
  command.amount = words.positive(1);
  command.ref = optional_value(words, "ref", read_token).value_or("");
  command.account = optional_value(words, "acct", read_token).value_or(kMainAccount);
  return command;
}

std::string_view only_account(const Words& words) {
  words.expect(1, 1);
  return words.token(0);
}

}  // namespace

std::optional<Nanos> read_event_ts(const Words& words) {
  return optional_value(words, "event_ts", read_whole);
}

Command read_clock(const Words& words) {
  words.expect(1, 1);
  words.whole(0);
  return Tick{};
}

Command read_symbol(const Words& words) {
  words.expect(1, 1, {"base", "quote", "tick", "lot", "min_qty", "max_qty", "min_notional"});
  DefineSymbol command;
  command.symbol = words.token(0);
  command.base = read_token(words.required("base"));
  command.quote = read_token(words.required("quote"));
  command.tick = read_positive(words.required("tick"));
  command.lot = read_positive(words.required("lot"));
  command.min_qty = optional_decimal(words, "min_qty");
  command.max_qty = optional_decimal(words, "max_qty");
  command.min_notional = optional_decimal(words, "min_notional");
  return command;
}

Command read_account(const Words& words) {
  return OpenAccount{only_account(words)};
}

Command read_deposit(const Words& words) {
  return read_transfer(words);
}

Command read_withdraw(const Words& words) {
  TransferFunds command = read_transfer(words);
  command.amount = -command.amount;
  return command;
}

Command read_limits(const Words& words) {
  const bool global = words.option("acct") == kEveryAccount;
  if (global) {
    words.expect(0, 0, {"acct", "kill"});
  } else {
    words.expect(0, 0,
                 {"acct", "maker_fee_bps", "taker_fee_bps", "max_order_qty", "max_notional", "price_band_bps",
                  "max_open_orders", "max_position", "order_rate", "daily_loss", "kill"});
  }
  SetLimits command;
  command.account = global ? kEveryAccount : optional_value(words, "acct", read_token).value_or(kMainAccount);
  auto rate = [](std::string_view key) { return [key](std::string_view value) { return bps(key, value); }; };
  command.maker_fee_bps = optional_value(words, "maker_fee_bps", rate("maker_fee_bps"));
  command.taker_fee_bps = optional_value(words, "taker_fee_bps", rate("taker_fee_bps"));
  command.max_order_qty = optional_value(words, "max_order_qty", read_decimal);
  command.max_notional = optional_value(words, "max_notional", read_decimal);
  command.price_band_bps = optional_value(words, "price_band_bps", read_decimal);
  command.max_open_orders = optional_value(words, "max_open_orders", read_whole);
  command.max_position = optional_value(words, "max_position", read_decimal);
  command.order_rate = optional_value(words, "order_rate", read_whole);
  command.daily_loss = optional_value(words, "daily_loss", read_decimal);
  command.kill =
      optional_value(words, "kill", [](std::string_view value) { return read_flag("kill", value); });
  return command;
}

Command read_hash(const Words& words) {
  return HashAccount{only_account(words)};
}

Command read_state(const Words& words) {
  return ShowState{only_account(words)};
}

Command read_forget(const Words& words) {
  return ForgetAccount{only_account(words)};
}

Command read_stats(const Words& words) {
  words.expect(0, 0);
  return ShowStats{};
}

Command read_ping(const Words& words) {
  words.expect(0, 1);
  return Ping{words.size() == 1 ? words.token(0) : std::string_view{}};
}

Command read_quit(const Words& words) {
  words.expect(0, 0);
  return Quit{};
}

Command read_trade(const Words& words) {
  words.expect(3, 3, {"event_ts"});
  return Print{words.token(0), words.positive(1), words.positive(2), read_event_ts(words)};
}

Command read_quote(const Words& words) {
  words.expect(5, 5, {"event_ts"});
  const Quote quote{words.token(0),   words.decimal(1), words.decimal(2),
                    words.decimal(3), words.decimal(4), read_event_ts(words)};
  if ((quote.bid == 0) != (quote.bid_qty == 0) || (quote.ask == 0) != (quote.ask_qty == 0)) {
    throw Refusal{Code::BadNumber,
                  "a side's price and quantity must both be positive, or both 0 when it is absent"};
  }
  return quote;
}

}  // namespace veloz
