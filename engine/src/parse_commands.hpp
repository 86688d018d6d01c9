#pragma once

#include "commands.hpp"
#include "lexer.hpp"

/// One reader for each verb (DEPTH, which needs room for its levels, is the Parser's). Each checks the
/// count of words, then the options' names, then the values, and throws a Refusal.
namespace veloz {

std::optional<Nanos> read_event_ts(const Words& words);

Command read_clock(const Words& words);
Command read_symbol(const Words& words);
Command read_account(const Words& words);
Command read_deposit(const Words& words);
Command read_withdraw(const Words& words);
Command read_limits(const Words& words);
Command read_hash(const Words& words);
Command read_state(const Words& words);
Command read_forget(const Words& words);
Command read_stats(const Words& words);
Command read_ping(const Words& words);
Command read_quit(const Words& words);
Command read_order(const Words& words);
Command read_cancel(const Words& words);
Command read_cancel_all(const Words& words);
Command read_amend(const Words& words);
Command read_trade(const Words& words);
Command read_quote(const Words& words);
Command read_restore(const Words& words);

/// What ORDER and RESTORE ORDER share; `at` is the place of the side.
NewOrder read_order_words(const Words& words, std::size_t at);

}  // namespace veloz
