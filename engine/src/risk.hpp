#pragma once

#include <optional>

#include "state.hpp"

namespace veloz {

/// Section 5's checks of a new order whose symbol is defined, in their order; nothing when it may be
/// accepted. Passing the order rate check records the order.
std::optional<Code> refusal_of_new(const State& state, const Order& order);

/// What an AMEND asks for.
struct Amendment {
  Units qty = 0;
  Units price = 0;
  Units stop = 0;

  bool only_less(const Order& order) const {
    return qty < order.qty && price == order.price && stop == order.stop;
  }
  bool nothing(const Order& order) const {
    return qty == order.qty && price == order.price && stop == order.stop;
  }
};

/// The checks of an amendment of an open order.
std::optional<Code> refusal_of_amendment(const State& state, const Order& order, const Amendment& wanted);

}  // namespace veloz
