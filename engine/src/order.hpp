#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "commands.hpp"
#include "decimal.hpp"
#include "token.hpp"
#include "types.hpp"

namespace veloz {

struct Holding;
struct Order;

/// The orders at one price of a ladder, the longest waiting first.
struct Queue {
  Order* head = nullptr;
  Order* tail = nullptr;
};
using Levels = std::map<Units, Queue>;

/// One order of one account. It lives in the pool from its acceptance (or refusal) until the end of
/// the command that closes it.
struct alignas(64) Order {
  Token id;  // first: a look-up reads it and often nothing else
  Holding* holding = nullptr;
  Side side = Side::Buy;
  OrderType type = OrderType::Limit;
  TimeInForce tif = TimeInForce::Gtc;
  SelfTrade stp = SelfTrade::CancelNewest;
  Status status = Status::Accepted;
  bool triggered = false;
  bool open = false;     // indexed, locking funds, on one of the holding's ladders
  bool touched = false;  // by the command being carried out
  Units qty = 0;
  Units price = 0;
  Units stop = 0;
  Units executed = 0;
  Units executed_notional = 0;
  Units lock = 0;  // of the account's balance, while open
  Nanos expire = 0;
  Nanos created = 0;
  Nanos last = 0;
  std::uint64_t rank = 0;
  Order* previous = nullptr;  // on its shelf
  Order* next = nullptr;
  Levels::iterator level;
  std::string reason;  // of the last order_update

  /// Makes it afresh, whatever it was before.
  void assign(const NewOrder& command, Holding& of);

  Units leaves() const {
    return qty - executed;
  }
  bool waiting() const {
    return is_stop(type) && !triggered;
  }
  bool closed() const {
    return status != Status::Accepted && status != Status::PartiallyFilled;
  }
  /// The price its funds are locked and its notional is reckoned at.
  Units value_price() const {
    return type == OrderType::Stop ? stop : price;
  }
  /// What it locks while open with `leaves` left: quote for a BUY, base for a SELL.
  Int128 lock_for(Units leaves) const {
    return side == Side::Buy ? notional_up(value_price(), leaves) : Int128{leaves};
  }
};

inline void Order::assign(const NewOrder& command, Holding& of) {
  id.assign(command.client_order_id);
  holding = &of;
  side = command.side;
  type = command.type;
  tif = command.tif;
  stp = command.stp;
  status = Status::Accepted;
  triggered = open = touched = false;
  qty = command.qty;
  price = command.price;
  stop = command.stop;
  executed = executed_notional = lock = 0;
  expire = command.expire;
  created = last = 0;
  rank = 0;
  reason.clear();
  previous = next = nullptr;
}

}  // namespace veloz
