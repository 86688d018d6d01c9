#include "restore.hpp"

#include <algorithm>

namespace veloz {
namespace {

std::string fault_of(const Order& order) {
  const std::string what = "order " + std::string(order.id.view()) + ": ";
  if (order.executed >= order.qty) {
    return what + "executed " + decimal_text(order.executed) + " is not below its quantity " +
           decimal_text(order.qty);
  }
  if ((order.status == Status::PartiallyFilled) != (order.executed > 0)) {
    return what + "status " + std::string(name(order.status)) + " does not fit executed " +
           decimal_text(order.executed);
  }
  if (order.triggered && order.type != OrderType::StopLimit) {
    return what + "an open " + std::string(name(order.type)) + " cannot be triggered";
  }
  if (order.waiting() && order.executed > 0) {
    return what + "a waiting stop cannot have executed " + decimal_text(order.executed);
  }
  return {};
}

}  // namespace

Restore::~Restore() {
  for (Order* order : orders_) {
    state_.orders.give_back(*order);
  }
}

void Restore::balance(const RestoreBalance& row) {
  account_.balances[std::string(row.asset)].total = row.total;
}

void Restore::position(const RestorePosition& row, Instrument& instrument) {
  account_.holding(instrument).position = {row.qty, row.cost, row.realised, row.day, row.day_realised};
}

bool Restore::has_order(std::string_view client_order_id) const {
  return ids_.find(client_order_id) != nullptr;
}

void Restore::order(const RestoreOrder& row, Instrument& instrument) {
  Order& order = state_.orders.take();
  order.assign(row.order, account_.holding(instrument));
  order.rank = static_cast<std::uint64_t>(row.rank);
  order.executed = row.executed;
  order.executed_notional = row.executed_notional;
  order.status = row.status;
  order.created = row.created;
  order.last = row.last;
  order.triggered = row.triggered;
  order.reason = row.reason;
  orders_.push_back(&order);
  ids_.insert(order);
}

std::optional<std::string> Restore::fault() {
  std::ranges::sort(orders_, {}, &Order::rank);
  std::map<const Balance*, Int128> locks;
  std::uint64_t previous_rank = 0;
  for (const Order* order : orders_) {
    if (std::string text = fault_of(*order); !text.empty()) {
      return text;
    }
    if (order->rank == previous_rank) {
      return "rank " + std::to_string(order->rank) + " repeats at order " + std::string(order->id.view());
    }
    previous_rank = order->rank;
    locks[&order->holding->funds(order->side)] += order->lock_for(order->leaves());
  }
  for (const auto& [asset, balance] : account_.balances) {
    const auto lock = locks.find(&balance);
    if (lock != locks.end() && lock->second > balance.total) {
      return "the open orders lock " + decimal_text(lock->second) + " " + asset + " of a total of " +
             decimal_text(balance.total);
    }
  }
  return std::nullopt;
}

void Restore::finish(Exchange& exchange) {
  for (Order* order : orders_) {
    exchange.open(*order);
  }
  account_.next_rank = orders_.empty() ? 1 : orders_.back()->rank + 1;
  account_.restoring = false;
  orders_.clear();
  Outbox::mark_shown(account_);
}

}  // namespace veloz
