// Lines, set-up and accounts: sections 2, 3 and 4.
#include "reference_model.hpp"

#include <algorithm>
#include <set>

#include "reference_text.hpp"

namespace veloz::reference {
namespace {

struct LimitName {
  const char* name;
  bool whole;
};
constexpr LimitName kLimits[] = {
    {"maker_fee_bps", false}, {"taker_fee_bps", false},  {"max_order_qty", false},
    {"max_notional", false},  {"price_band_bps", false}, {"max_open_orders", true},
    {"max_position", false},  {"order_rate", true},      {"daily_loss", false}};

// Of what section 1 refuses only this: the rest is the scenarios' business.
std::string why_unreadable(const Words& words) {
  static const std::set<std::string> kVerbs = {
      "SYMBOL", "ACCOUNT",    "DEPOSIT", "WITHDRAW", "LIMITS", "HASH",  "STATE", "FORGET", "ORDER",
      "CANCEL", "CANCEL_ALL", "AMEND",   "TRADE",    "QUOTE",  "DEPTH", "CLOCK", "RESTORE"};
  if (kVerbs.count(words.verb) == 0)
    return "UNKNOWN_COMMAND";
  const bool transfer = words.verb == "DEPOSIT" || words.verb == "WITHDRAW";
  return transfer && decimal(words.at[1]) == 0 ? "BAD_NUMBER" : "";
}

}  // namespace

std::vector<std::string> Model::run(const std::string& line) {
  events_.clear();
  answers_.clear();
  touched_.clear();
  touched_accounts_.clear();
  if (line.empty() || line[0] == '#')
    return {};
  const Words words = split(line);
  req_ = words.req;
  const std::string unreadable = why_unreadable(words);
  if (!unreadable.empty()) {
    answers_.push_back(error_event(words, unreadable));
    finish(words);
    return events_;
  }
  clock_ = std::max<std::int64_t>(clock_, std::stoll(words.option("ts", "0")));
  if (words.verb == "CLOCK")
    clock_ = std::max<std::int64_t>(clock_, std::stoll(words.at[0]));
  expire_due();
  try {
    command(words);
  } catch (const Refusal& refused) {
    answers_.push_back(error_event(words, refused.code));
  }
  finish(words);
  return events_;
}

// A line that could not be read names nobody; every other refusal names what its command names.
std::string Model::error_event(const Words& words, const std::string& code) const {
  Json event(head("error"));
  event.whole("ts_ns", clock_).text("code", code);
  const auto& verb = words.verb;
  const auto is_one_of = [&](std::initializer_list<const char*> verbs) {
    return std::any_of(verbs.begin(), verbs.end(), [&](const char* other) { return verb == other; });
  };
  if (!why_unreadable(words).empty())
    return event.done();
  if (is_one_of({"ACCOUNT", "HASH", "STATE", "FORGET"}))
    event.text("account", words.at[0]);
  const bool framing = verb == "RESTORE" && (words.at[0] == "BEGIN" || words.at[0] == "END");
  if (framing)
    event.text("account", words.at[1]);
  const bool by_option =
      is_one_of({"ORDER", "CANCEL", "AMEND", "CANCEL_ALL", "DEPOSIT", "WITHDRAW", "LIMITS", "RESTORE"});
  if (by_option && !framing)
    event.text("account", words.option("acct", "main"));
  if (verb == "ORDER")
    event.text("client_order_id", words.at[4]);
  if (is_one_of({"CANCEL", "AMEND"}))
    event.text("client_order_id", words.at[0]);
  if (verb == "RESTORE" && words.at[0] == "ORDER")
    event.text("client_order_id", words.at[5]);
  return event.done();
}

void Model::command(const Words& words) {
  const auto& verb = words.verb;
  if (verb == "SYMBOL")
    return symbol(words);
  if (verb == "ACCOUNT")
    return open_account(words);
  if (verb == "DEPOSIT")
    return transfer(words, 1);
  if (verb == "WITHDRAW")
    return transfer(words, -1);
  if (verb == "LIMITS")
    return limits(words);
  if (verb == "STATE")
    return state(words);
  if (verb == "ORDER")
    return order(words);
  if (verb == "CANCEL")
    return cancel(words);
  if (verb == "CANCEL_ALL")
    return cancel_all(words);
  if (verb == "AMEND")
    return amend(words);
  if (verb == "TRADE")
    return trade(words);
  if (verb == "QUOTE")
    return quote(words);
  if (verb == "DEPTH")
    return depth(words);
  if (verb == "RESTORE")
    return restore(words);
  if (verb == "CLOCK")
    return;
  if (verb == "HASH")
    return answers_.push_back(hash_event(account(words.at[0]).name));
  if (verb == "FORGET")
    return forget(words.at[0]);
}

void Model::expire_due() {
  for (auto& [name, account] : accounts_) {
    if (account.restoring)
      continue;
    for (const auto& order : by_rank(account)) {
      const std::int64_t due = order->expire + (fault_ == Fault::expiry_one_late ? 1 : 0);
      if (order->expire != 0 && due <= clock_)
        end(order, "EXPIRED", "GTD_EXPIRED");
    }
  }
}

void Model::close() {
  for (const auto& order : touched_)
    events_.push_back(order_state(*order));
  for (const auto& name : touched_accounts_) {
    auto& account = accounts_.at(name);
    const std::string now = figures(account);
    if (now != account.shown)
      events_.push_back(account_event(account));
    account.shown = now;
  }
  touched_.clear();
  touched_accounts_.clear();
}

void Model::finish(const Words& words) {
  close();
  events_.insert(events_.end(), answers_.begin(), answers_.end());
  if (words.req != 0)
    events_.push_back(head("done") + "}");
  req_ = 0;
}

Account& Model::account(const std::string& name) {
  const auto found = accounts_.find(name);
  if (found == accounts_.end())
    throw Refusal{"UNKNOWN_ACCOUNT"};
  if (found->second.restoring)
    throw Refusal{"RESTORING"};
  return found->second;
}

Market& Model::market(const std::string& name) {
  const auto found = markets_.find(name);
  if (found == markets_.end())
    throw Refusal{"UNKNOWN_SYMBOL"};
  return found->second;
}

void Model::symbol(const Words& words) {
  Market wish;
  wish.base = words.option("base");
  wish.quote = words.option("quote");
  const auto found = markets_.find(words.at[0]);
  if (found != markets_.end()) {
    if (found->second.base != wish.base || found->second.quote != wish.quote)
      throw Refusal{"SYMBOL_EXISTS"};
    wish = found->second;
  }
  wish.tick = positive(words.option("tick"));
  wish.lot = positive(words.option("lot"));
  wish.min_qty = decimal(words.option("min_qty", "0"));
  wish.max_qty = decimal(words.option("max_qty", "0"));
  wish.min_notional = decimal(words.option("min_notional", "0"));
  markets_[words.at[0]] = wish;
}

void Model::open_account(const Words& words) {
  if (accounts_.count(words.at[0]) != 0) {
    account(words.at[0]);  // RESTORING, when it is
    throw Refusal{"ACCOUNT_EXISTS"};
  }
  auto& account = accounts_[words.at[0]];
  account.name = words.at[0];
  account.shown = figures(account);
}

void Model::transfer(const Words& words, int sign) {
  const Units amount = positive(words.at[1]);
  auto& holder = account(words.option("acct", "main"));
  const std::string& asset = words.at[0];
  const Wide after = Wide(holder.totals[asset]) + sign * Wide(amount);
  if (sign < 0 && free_of(holder, asset) < amount)
    throw Refusal{"INSUFFICIENT_FUNDS"};
  if (!fits(after))
    throw Refusal{"OVERFLOW"};
  holder.totals[asset] = static_cast<Units>(after);
  events_.push_back(Json(head("transfer"))
                        .text("account", holder.name)
                        .whole("ts_ns", clock_)
                        .text("asset", asset)
                        .number("amount", sign * amount)
                        .text("ref", words.option("ref"))
                        .done());
  touched_accounts_.push_back(holder.name);
}

void Model::limits(const Words& words) {
  const std::string name = words.option("acct", "main");
  Account nobody;
  nobody.name = "*";
  Account& target = name == "*" ? nobody : account(name);
  if (words.has("kill"))
    (name == "*" ? killed_ : target.kill) = words.option("kill") == "1";
  Json event(head("limits"));
  event.text("account", name).whole("ts_ns", clock_);
  for (const auto& limit : kLimits) {
    auto& value = target.limits[limit.name];
    if (words.has(limit.name))
      value = limit.whole ? std::stoll(words.option(limit.name)) : decimal(words.option(limit.name));
    limit.whole ? event.whole(limit.name, value) : event.number(limit.name, value);
  }
  answers_.push_back(event.raw("kill", (name == "*" ? killed_ : target.kill) ? "true" : "false").done());
}

void Model::state(const Words& words) {
  auto& target = account(words.at[0]);
  for (const auto& order : by_rank(target))
    answers_.push_back(order_state(*order));
  answers_.push_back(account_event(target));
}

void Model::forget(const std::string& name) {
  if (accounts_.count(name) == 0)
    throw Refusal{"UNKNOWN_ACCOUNT"};
  close();  // what the clock has just ended is told before it is forgotten
  accounts_.erase(name);
  for (auto& [symbol, market] : markets_) {
    for (auto& level : market.bids)
      level.taken.erase(name);
    for (auto& level : market.asks)
      level.taken.erase(name);
  }
}

}  // namespace veloz::reference
