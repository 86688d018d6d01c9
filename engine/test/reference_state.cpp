// An account's state, its digest, its restoration and its events: sections 2 and 8.
#include <algorithm>
#include <set>

#include "reference_model.hpp"
#include "reference_text.hpp"
#include "sha256.hpp"

namespace veloz::reference {
namespace {

std::string list(const std::vector<std::string>& items) {
  std::string text = "[";
  for (const auto& item : items)
    text += (text.size() > 1 ? "," : "") + item;
  return text + "]";
}

// Of a price that need not fit in 64 bits.
Wide average(Wide money, Wide qty) {
  return qty == 0 ? 0 : magnitude(money) * kOne / magnitude(qty);
}

}  // namespace

void Model::restore(const Words& words) {
  const auto& what = words.at[0];
  if (what == "BEGIN") {
    if (accounts_.count(words.at[1]) != 0) {
      account(words.at[1]);  // RESTORING, when it is
      throw Refusal{"ACCOUNT_EXISTS"};
    }
    auto& account = accounts_[words.at[1]];
    account.name = words.at[1];
    account.trades = std::stoll(words.option("trades", "0"));
    account.restoring = true;
    return;
  }
  if (what == "END")
    return restore_end(words.at[1]);
  const auto found = accounts_.find(words.option("acct", "main"));
  if (found == accounts_.end())
    throw Refusal{"UNKNOWN_ACCOUNT"};
  if (!found->second.restoring)
    throw Refusal{"BAD_STATE"};
  if (what == "BALANCE")
    found->second.totals[words.at[1]] = decimal(words.at[2]);
  if (what == "POSITION") {
    market(words.at[1]);
    found->second.positions[words.at[1]] = {decimal(words.at[2]), decimal(words.at[3]), decimal(words.at[4]),
                                            decimal(words.at[6]), std::stoll(words.at[5])};
  }
  if (what == "ORDER")
    restore_order(words, found->second);
}

void Model::restore_order(const Words& words, Account& account) {
  const auto order = std::make_shared<Order>();
  order->account = account.name;
  order->side = words.at[1];
  order->symbol = words.at[2];
  order->qty = positive(words.at[3]);
  order->price = decimal(words.at[4]);
  order->id = words.at[5];
  order->type = words.at[6];
  order->tif = words.at[7];
  order->rank = std::stoll(words.option("rank"));
  order->executed = decimal(words.option("executed"));
  order->notional = decimal(words.option("notional"));
  order->status = words.option("status");
  order->created = std::stoll(words.option("created"));
  order->last = std::stoll(words.option("last"));
  order->stop = decimal(words.option("stop", "0"));
  order->expire = std::stoll(words.option("expire", "0"));
  order->stp = words.option("stp", "CANCEL_NEWEST");
  order->triggered = words.option("triggered", "0") == "1";
  order->reason = words.option("reason");
  market(order->symbol);
  for (const auto& other : account.open) {
    if (other->id == order->id)
      throw Refusal{"DUPLICATE_ORDER"};
  }
  account.open.push_back(order);
}

void Model::restore_end(const std::string& name) {
  const auto found = accounts_.find(name);
  if (found == accounts_.end())
    throw Refusal{"UNKNOWN_ACCOUNT"};
  auto& account = found->second;
  if (!account.restoring)
    throw Refusal{"BAD_STATE"};
  bool sound = true;
  std::set<std::int64_t> ranks;
  for (const auto& order : account.open) {
    sound = sound && order->executed < order->qty && ranks.insert(order->rank).second;
    sound = sound && free_of(account, lock_asset(*order)) >= 0;
    sound = sound && order->status == (order->executed > 0 ? "PARTIALLY_FILLED" : "ACCEPTED");
    sound = sound && !(order->triggered && order->type != "STOP_LIMIT") &&
            !(order->waiting() && order->executed > 0);
    account.last_rank = std::max(account.last_rank, order->rank);
  }
  if (!sound) {
    forget(name);
    throw Refusal{"BAD_STATE"};
  }
  account.restoring = false;
  account.shown = figures(account);
  answers_.push_back(hash_event(name));
}

std::vector<std::string> Model::restore_lines(const std::string& name) const {
  const auto& account = accounts_.at(name);
  const std::string acct = " acct=" + name;
  std::vector<std::string> lines = {"RESTORE BEGIN " + name + " trades=" + std::to_string(account.trades)};
  for (const auto& [asset, total] : account.totals) {
    lines.push_back("RESTORE BALANCE " + asset + " " + show(total) + acct);
  }
  for (const auto& [symbol, p] : account.positions) {
    lines.push_back("RESTORE POSITION " + symbol + " " + show(p.qty) + " " + show(p.cost) + " " +
                    show(p.realised) + " " + std::to_string(p.day) + " " + show(p.day_realised) + acct);
  }
  for (const auto& o : account.open) {
    std::string line =
        "RESTORE ORDER " + o->side + " " + o->symbol + " " + show(o->qty) + " " + show(o->price) + " " +
        o->id + " " + o->type + " " + o->tif + " rank=" + std::to_string(o->rank) +
        " executed=" + show(o->executed) + " notional=" + show(o->notional) + " status=" + o->status +
        " created=" + std::to_string(o->created) + " last=" + std::to_string(o->last) + " stp=" + o->stp;
    if (o->is_stop())
      line += " stop=" + show(o->stop) + " triggered=" + (o->triggered ? "1" : "0");
    if (o->expire != 0)
      line += " expire=" + std::to_string(o->expire);
    if (!o->reason.empty())
      line += " reason=" + o->reason;
    lines.push_back(line + acct);
  }
  lines.push_back("RESTORE END " + name);
  return lines;
}

std::string Model::state_text(const std::string& name) const {
  const auto& account = accounts_.at(name);
  const auto units = [](std::int64_t value) { return " " + std::to_string(value); };
  std::string text = "veloz-state 1\naccount " + name + "\ntrades" + units(account.trades) + "\n";
  for (const auto& [asset, total] : account.totals) {
    if (total != 0)
      text += "balance " + asset + units(total) + "\n";
  }
  for (const auto& [symbol, p] : account.positions) {
    if (p.qty == 0 && p.cost == 0 && p.realised == 0 && p.day_realised == 0)
      continue;
    text += "position " + symbol + units(p.qty) + units(p.cost) + units(p.realised) + units(p.day) +
            units(p.day_realised) + "\n";
  }
  for (const auto& o : by_rank(account)) {
    text += "order " + o->id + " " + o->symbol + " " + o->side + " " + o->type + " " + o->tif +
            units(o->qty) + units(o->price) + units(o->stop) + units(o->expire) + units(o->executed) +
            units(o->notional) + (o->triggered ? " 1 " : " 0 ") + o->status + " " + o->stp + "\n";
  }
  return text;
}

std::string Model::head(const std::string& type) const {
  Json event("{");
  event.text("type", type);
  if (req_ != 0)
    event.whole("req", req_);
  const std::string text = event.done();
  return text.substr(0, text.size() - 1);
}

std::string Model::order_state(const Order& order) const {
  Json event(head("order_state"));
  event.text("account", order.account).text("client_order_id", order.id).text("symbol", order.symbol);
  event.text("side", order.side).number("order_qty", order.qty).number("limit_price", order.price);
  if (order.is_stop())
    event.number("stop_price", order.stop);
  if (order.expire != 0)
    event.whole("expire_ts_ns", order.expire);
  event.raw("venue_order_id", "null").text("status", order.status).text("reason", order.reason);
  event.number("executed_qty", order.executed).number("executed_notional", order.notional);
  event.number("avg_price", average(order.notional, order.executed)).text("order_type", order.type);
  event.text("tif", order.tif).text("stp", order.stp).raw("triggered", order.triggered ? "true" : "false");
  return event.whole("rank", order.rank)
      .whole("created_ts_ns", order.created)
      .whole("last_ts_ns", order.last)
      .done();
}

std::string Model::figures(const Account& account) const {
  std::vector<std::string> balances, positions;
  for (const auto& [asset, total] : account.totals) {
    const auto free = static_cast<Units>(free_of(account, asset));
    if (total == 0)
      continue;
    balances.push_back(
        Json("{").text("asset", asset).number("free", free).number("locked", total - free).done());
  }
  for (const auto& [symbol, p] : account.positions) {
    if (p.qty == 0 && p.cost == 0 && p.realised == 0 && p.day_realised == 0)
      continue;
    Json event("{");
    event.text("symbol", symbol)
        .number("qty", p.qty)
        .number("cost", p.cost)
        .number("avg_price", average(p.cost, p.qty));
    positions.push_back(event.number("realised", p.realised)
                            .whole("day", p.day)
                            .number("day_realised", p.day_realised)
                            .done());
  }
  return "\"balances\":" + list(balances) + ",\"positions\":" + list(positions);
}

std::string Model::account_event(const Account& account) const {
  return head("account") + ",\"account\":\"" + account.name + "\",\"ts_ns\":" + std::to_string(clock_) + "," +
         figures(account) + "}";
}

std::string Model::hash_event(const std::string& name) const {
  return Json(head("hash"))
      .text("account", name)
      .text("hash", sha256_hex(state_text(name)))
      .whole("open_orders", static_cast<std::int64_t>(accounts_.at(name).open.size()))
      .done();
}

}  // namespace veloz::reference
