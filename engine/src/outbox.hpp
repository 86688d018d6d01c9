#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "events.hpp"
#include "state.hpp"

namespace veloz {

/// Puts a command's events in their order: updates, fills and transfers go out as they happen; the
/// states of the orders touched and the accounts changed follow when the command is settled.
class Outbox {
 public:
  Outbox(EventSink& sink, State& state) : sink_(sink), state_(state) {}

  EventSink& sink() {
    return sink_;
  }

  void order_update(Order& order, std::string_view reason);
  /// REJECTED, of an order that never came to be.
  void rejected(const NewOrder& order, Code reason);
  void fill(const Order& order, Units qty, Units price, Units fee, Liquidity liquidity);
  void transfer(Account& account, std::string_view asset, Units amount, std::string_view ref);
  /// Emits what is owed and gives the closed orders back to the pool.
  void settle();

  void order_state(const Order& order);
  void account(const Account& account);
  /// Takes the account as shown without an event: after a restore.
  static void mark_shown(Account& account);

 private:
  void touch(Account& account);

  EventSink& sink_;
  State& state_;
  std::vector<Order*> orders_;      // touched, in the order of first touch
  std::vector<Account*> accounts_;  // likewise
  std::optional<OrderStateEvent> rejected_;
  std::vector<BalanceRow> balance_rows_;
  std::vector<PositionRow> position_rows_;
};

}  // namespace veloz
