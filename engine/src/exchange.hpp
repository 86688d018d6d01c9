#pragma once

#include <string_view>
#include <vector>

#include "outbox.hpp"
#include "risk.hpp"
#include "state.hpp"
#include "walk.hpp"

namespace veloz {

/// The simulated exchange: the life of orders against the market (sections 3, 5 and 6). Each account
/// trades against the market alone, never against another account.
class Exchange {
 public:
  Exchange(State& state, Outbox& outbox) : state_(state), outbox_(outbox) {}

  /// Takes an order that passed the risk checks: accepts it and lets it walk, wait or rest.
  void accept(Order& order);
  /// Carries out an amendment that passed its checks and differs from the order.
  void amend(Order& order, const Amendment& wanted);
  /// Closes an order with a last update.
  void close(Order& order, Status status, std::string_view reason);
  /// Expires what is due at the clock.
  void expire_due();
  /// Steps 2 and 3 of a print, which already is the instrument's last.
  void print(Instrument& instrument, PriceQty trade);
  /// Fills resting orders that the changed book crosses.
  void book_changed(Instrument& instrument);
  /// Makes an order open: indexed, on its shelf, its funds locked. Emits nothing.
  void open(Order& order);
  /// Drops an account with all its orders. Emits nothing.
  void forget(Account& account);

 private:
  void carry_on(Order& order);
  void trigger(Order& order);
  void arrive(Order& order);
  void settle_remainder(Order& order, bool self_trade);
  bool fill(Order& order, Units price, Units qty, Liquidity liquidity);
  void fill_at(Holding& holding, Shelf shelf, PriceQty trade, Units& left);
  void fill_from_book(Holding& holding, Side side);
  bool fill_from_levels(Order& order);
  void unopen(Order& order);
  void lock(Order& order);
  void unlock(Order& order);

  State& state_;
  Outbox& outbox_;
  std::vector<Order*> stops_;
};

}  // namespace veloz
