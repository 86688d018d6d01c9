#include "outbox.hpp"

namespace veloz {
namespace {

bool changed(const Account& account) {
  for (const auto& [asset, balance] : account.balances) {
    if (balance.total != balance.shown_total || balance.locked != balance.shown_locked) {
      return true;
    }
  }
  for (const auto& [symbol, holding] : account.holdings) {
    if (!holding->position.reads_like(holding->shown)) {
      return true;
    }
  }
  return false;
}

}  // namespace

void Outbox::order_update(Order& order, std::string_view reason) {
  if (!order.touched) {
    order.touched = true;
    orders_.push_back(&order);
  }
  touch(order.holding->account);
  order.reason = reason;
  order.last = state_.clock;
  sink_.order_update({.account = order.holding->account.name,
                      .ts = state_.clock,
                      .client_order_id = order.id.view(),
                      .status = order.status,
                      .symbol = order.holding->instrument.symbol,
                      .side = order.side,
                      .qty = order.qty,
                      .price = order.price,
                      .type = order.type,
                      .tif = order.tif,
                      .stop = order.stop,
                      .expire = order.expire,
                      .stp = order.stp,
                      .triggered = order.triggered,
                      .rank = order.rank,
                      .reason = reason});
}

void Outbox::rejected(const NewOrder& order, Code reason) {
  sink_.order_update({.account = order.account,
                      .ts = state_.clock,
                      .client_order_id = order.client_order_id,
                      .status = Status::Rejected,
                      .symbol = order.symbol,
                      .side = order.side,
                      .qty = order.qty,
                      .price = order.price,
                      .type = order.type,
                      .tif = order.tif,
                      .stop = order.stop,
                      .expire = order.expire,
                      .stp = order.stp,
                      .reason = name(reason)});
  rejected_ = OrderStateEvent{.account = order.account,
                              .client_order_id = order.client_order_id,
                              .symbol = order.symbol,
                              .side = order.side,
                              .qty = order.qty,
                              .price = order.price,
                              .stop = order.stop,
                              .expire = order.expire,
                              .status = Status::Rejected,
                              .reason = name(reason),
                              .type = order.type,
                              .tif = order.tif,
                              .stp = order.stp,
                              .created = state_.clock,
                              .last = state_.clock};
}

void Outbox::fill(const Order& order, Units qty, Units price, Units fee, Liquidity liquidity) {
  const Holding& holding = *order.holding;
  sink_.fill({.account = holding.account.name,
              .ts = state_.clock,
              .client_order_id = order.id.view(),
              .symbol = holding.instrument.symbol,
              .side = order.side,
              .qty = qty,
              .price = price,
              .fee = fee,
              .fee_asset = order.side == Side::Buy ? holding.instrument.base : holding.instrument.quote,
              .liquidity = liquidity,
              .trade_id = holding.account.trades});
}

void Outbox::transfer(Account& account, std::string_view asset, Units amount, std::string_view ref) {
  touch(account);
  sink_.transfer({.account = account.name, .ts = state_.clock, .asset = asset, .amount = amount, .ref = ref});
}

void Outbox::settle() {
  for (Order* order : orders_) {
    order_state(*order);
  }
  if (rejected_) {
    sink_.order_state(*rejected_);
    rejected_.reset();
  }
  for (Account* touched : accounts_) {
    touched->touched = false;
    if (changed(*touched)) {
      account(*touched);
      mark_shown(*touched);
    }
  }
  accounts_.clear();
  for (Order* order : orders_) {
    order->touched = false;
    if (order->closed()) {
      state_.orders.give_back(*order);
    }
  }
  orders_.clear();
}

void Outbox::order_state(const Order& order) {
  sink_.order_state({.account = order.holding->account.name,
                     .client_order_id = order.id.view(),
                     .symbol = order.holding->instrument.symbol,
                     .side = order.side,
                     .qty = order.qty,
                     .price = order.price,
                     .stop = order.stop,
                     .expire = order.expire,
                     .status = order.status,
                     .reason = order.reason,
                     .executed_qty = order.executed,
                     .executed_notional = order.executed_notional,
                     .type = order.type,
                     .tif = order.tif,
                     .stp = order.stp,
                     .triggered = order.triggered,
                     .rank = order.rank,
                     .created = order.created,
                     .last = order.last});
}

void Outbox::account(const Account& account) {
  balance_rows_.clear();
  for (const auto& [asset, balance] : account.balances) {
    if (balance.total != 0) {
      balance_rows_.push_back({asset, balance.free(), balance.locked});
    }
  }
  position_rows_.clear();
  for (const auto& [symbol, holding] : account.holdings) {
    const Position& position = holding->position;
    if (!position.blank()) {
      position_rows_.push_back(
          {symbol, position.qty, position.cost, position.realised, position.day, position.day_realised});
    }
  }
  sink_.account({account.name, state_.clock, balance_rows_, position_rows_});
}

void Outbox::mark_shown(Account& account) {
  for (auto& [asset, balance] : account.balances) {
    balance.shown_total = balance.total;
    balance.shown_locked = balance.locked;
  }
  for (auto& [symbol, holding] : account.holdings) {
    holding->shown = holding->position;
  }
}

void Outbox::touch(Account& account) {
  if (!account.touched) {
    account.touched = true;
    accounts_.push_back(&account);
  }
}

}  // namespace veloz
