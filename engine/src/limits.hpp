#pragma once

#include <cstdint>

#include "commands.hpp"

namespace veloz {

/// An account's fees and risk limits; 0 is no limit.
struct Limits {
  Units maker_fee_bps = 0;
  Units taker_fee_bps = 0;
  Units max_order_qty = 0;
  Units max_notional = 0;
  Units price_band_bps = 0;
  std::int64_t max_open_orders = 0;
  Units max_position = 0;
  std::int64_t order_rate = 0;
  Units daily_loss = 0;
  bool kill = false;

  void change(const SetLimits& command) {
    maker_fee_bps = command.maker_fee_bps.value_or(maker_fee_bps);
    taker_fee_bps = command.taker_fee_bps.value_or(taker_fee_bps);
    max_order_qty = command.max_order_qty.value_or(max_order_qty);
    max_notional = command.max_notional.value_or(max_notional);
    price_band_bps = command.price_band_bps.value_or(price_band_bps);
    max_open_orders = command.max_open_orders.value_or(max_open_orders);
    max_position = command.max_position.value_or(max_position);
    order_rate = command.order_rate.value_or(order_rate);
    daily_loss = command.daily_loss.value_or(daily_loss);
    kill = command.kill.value_or(kill);
  }
};

}  // namespace veloz
