#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "exchange.hpp"
#include "state.hpp"

namespace veloz {

/// An account between RESTORE BEGIN and END: its orders are held aside, so that neither prints nor
/// the clock reach them before the whole has been checked.
class Restore {
 public:
  Restore(State& state, Account& account) : state_(state), account_(account) {}
  ~Restore();
  Restore(const Restore&) = delete;
  Restore& operator=(const Restore&) = delete;

  void balance(const RestoreBalance& row);
  void position(const RestorePosition& row, Instrument& instrument);
  bool has_order(std::string_view client_order_id) const;
  void order(const RestoreOrder& row, Instrument& instrument);

  /// The first thing that could not be so; nothing when the account may go live.
  std::optional<std::string> fault();
  /// Opens the orders.
  void finish(Exchange& exchange);

 private:
  State& state_;
  Account& account_;
  std::vector<Order*> orders_;  // by rank once fault() has looked
  OrderIndex ids_;
};

}  // namespace veloz
