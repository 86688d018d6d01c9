#include "parse_commands.hpp"
#include "text.hpp"

/// Verbs of orders and RESTORE (sections 5 and 8).
namespace veloz {
namespace {

template <class Value>
Value known(std::optional<Value> value, Code code, std::string_view given, std::string_view rule) {
  if (!value) {
    throw Refusal{code, text(shown(given), " must be ", rule)};
  }
  return *value;
}

std::string_view account_option(const Words& words) {
  const auto account = words.option("acct");
  return account ? read_token(*account) : kMainAccount;
}

std::string_view reason_option(const Words& words, std::string_view fallback) {
  const auto reason = words.option("reason");
  return reason ? read_token(*reason) : fallback;
}

/// Empty when none is given.
std::string_view symbol_option(const Words& words) {
  const auto symbol = words.option("symbol");
  return symbol ? read_token(*symbol) : std::string_view();
}

std::optional<Units> positive_option(const Words& words, std::string_view key) {
  const auto value = words.option(key);
  return value ? std::optional(read_positive(*value)) : std::nullopt;
}

Command read_restore_order(const Words& words) {
  words.expect(8, 8,
               {"acct", "rank", "executed", "notional", "status", "created", "last", "stop", "expire", "stp",
                "triggered", "reason"});
  RestoreOrder command;
  command.order = read_order_words(words, 1);
  if (command.order.type == OrderType::Market) {
    throw Refusal{Code::BadType, "a MARKET order is never open and cannot be restored"};
  }
  command.rank = read_whole(words.required("rank"));
  if (command.rank == 0) {
    throw Refusal{Code::BadNumber, "rank=0 must be greater than 0"};
  }
  command.executed = read_decimal(words.required("executed"));
  command.executed_notional = read_decimal(words.required("notional"));
  const std::string_view status = words.required("status");
  command.status = known(status_from(status), Code::BadOption, status, "ACCEPTED or PARTIALLY_FILLED");
  if (command.status != Status::Accepted && command.status != Status::PartiallyFilled) {
    throw Refusal{Code::BadOption, text("status=", status, " must be ACCEPTED or PARTIALLY_FILLED")};
  }
  command.created = read_whole(words.required("created"));
  command.last = read_whole(words.required("last"));
  const auto triggered = words.option("triggered");
  command.triggered = triggered && read_flag("triggered", *triggered);
  command.reason = reason_option(words, "");
  return command;
}

Command read_restore_position(const Words& words) {
  words.expect(7, 7, {"acct"});
  RestorePosition command;
  command.symbol = words.token(1);
  command.qty = read_signed(words.word(2));
  command.cost = read_signed(words.word(3));
  command.realised = read_signed(words.word(4));
  command.day = words.whole(5);
  command.day_realised = read_signed(words.word(6));
  command.account = account_option(words);
  return command;
}

}  // namespace

NewOrder read_order_words(const Words& words, std::size_t at) {
  NewOrder order;
  const std::string_view side = words.word(at);
  order.side = known(side_from(side), Code::BadSide, side, "BUY or SELL");
  order.symbol = words.token(at + 1);
  order.qty = words.positive(at + 2);
  order.price = words.decimal(at + 3);
  order.client_order_id = words.token(at + 4);
  if (words.size() > at + 5) {
    const std::string_view type = words.word(at + 5);
    order.type = known(order_type_from(type), Code::BadType, type, "LIMIT, MARKET, STOP or STOP_LIMIT");
  }
  order.tif = order.type == OrderType::Market ? TimeInForce::Ioc : TimeInForce::Gtc;
  if (words.size() > at + 6) {
    const std::string_view tif = words.word(at + 6);
    order.tif = known(time_in_force_from(tif), Code::BadTif, tif, "GTC, IOC, FOK, GTX or GTD");
  }
  order.stop = positive_option(words, "stop").value_or(0);
  if (const auto expire = words.option("expire")) {
    order.expire = read_whole(*expire);
  }
  if (const auto stp = words.option("stp")) {
    order.stp = known(self_trade_from(*stp), Code::BadOption, *stp, "CANCEL_NEWEST or NONE");
  }
  order.account = account_option(words);
  return order;
}

Command read_order(const Words& words) {
  words.expect(5, 7, {"acct", "stop", "expire", "stp"});
  return read_order_words(words, 0);
}

Command read_cancel(const Words& words) {
  words.expect(1, 1, {"acct", "symbol", "reason"});
  CancelOrder command;
  command.client_order_id = words.token(0);
  command.symbol = symbol_option(words);
  command.reason = reason_option(words, "USER");
  command.account = account_option(words);
  return command;
}

Command read_cancel_all(const Words& words) {
  words.expect(0, 0, {"acct", "symbol", "reason"});
  CancelAll command;
  command.symbol = symbol_option(words);
  command.reason = reason_option(words, "USER");
  command.account = words.option("acct") == kEveryAccount ? kEveryAccount : account_option(words);
  return command;
}

Command read_amend(const Words& words) {
  words.expect(1, 1, {"acct", "qty", "price", "stop"});
  AmendOrder command;
  command.client_order_id = words.token(0);
  command.qty = positive_option(words, "qty");
  command.price = positive_option(words, "price");
  command.stop = positive_option(words, "stop");
  command.account = account_option(words);
  if (!command.qty && !command.price && !command.stop) {
    throw Refusal{Code::BadArguments, "AMEND needs at least one of qty=, price= and stop="};
  }
  return command;
}

Command read_restore(const Words& words) {
  const std::string_view what = words.size() > 0 ? words.word(0) : std::string_view{};
  if (same_word(what, "BEGIN")) {
    words.expect(2, 2, {"trades"});
    const auto trades = words.option("trades");
    return RestoreBegin{words.token(1), trades ? read_whole(*trades) : 0};
  }
  if (same_word(what, "BALANCE")) {
    words.expect(3, 3, {"acct"});
    return RestoreBalance{account_option(words), words.token(1), words.decimal(2)};
  }
  if (same_word(what, "POSITION")) {
    return read_restore_position(words);
  }
  if (same_word(what, "ORDER")) {
    return read_restore_order(words);
  }
  if (same_word(what, "END")) {
    words.expect(2, 2);
    return RestoreEnd{words.token(1)};
  }
  throw Refusal{Code::BadArguments, "RESTORE takes BEGIN, BALANCE, POSITION, ORDER or END"};
}

}  // namespace veloz
