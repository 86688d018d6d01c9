#include "engine_impl.hpp"
#include "text.hpp"

/// Rebuilding an account (section 8).
namespace veloz {

Restore* Engine::Impl::running_restore(std::string_view account, std::string_view id) {
  if (const auto it = restores_.find(account); it != restores_.end()) {
    return &it->second;
  }
  if (live_account(account, id) != nullptr) {
    fail(Code::BadState, text("account ", account, " is not being restored; start with RESTORE BEGIN"),
         account, id);
  }
  return nullptr;
}

void Engine::Impl::on(const RestoreBegin& command) {
  if (state_.account(command.account) != nullptr) {
    if (live_account(command.account) != nullptr) {
      fail(Code::AccountExists, text("account ", command.account, " is there already; FORGET it first"),
           command.account);
    }
    return;
  }
  Account& account = add_account(command.account);
  account.trades = static_cast<std::uint64_t>(command.trades);
  account.restoring = true;
  restores_.try_emplace(account.name, state_, account);
}

void Engine::Impl::on(const RestoreBalance& command) {
  if (Restore* restore = running_restore(command.account)) {
    restore->balance(command);
  }
}

void Engine::Impl::on(const RestorePosition& command) {
  if (Restore* restore = running_restore(command.account)) {
    if (Instrument* instrument = known_instrument(command.symbol, command.account)) {
      restore->position(command, *instrument);
    }
  }
}

void Engine::Impl::on(const RestoreOrder& command) {
  const NewOrder& order = command.order;
  if (order.tif == TimeInForce::Ioc || order.tif == TimeInForce::Fok) {
    fail(Code::BadTif, text("an order with ", name(order.tif), " is never open and cannot be restored"),
         order.account, order.client_order_id);
    return;
  }
  if (!well_shaped(order)) {
    return;
  }
  Restore* restore = running_restore(order.account, order.client_order_id);
  if (restore == nullptr) {
    return;
  }
  if (restore->has_order(order.client_order_id)) {
    fail(Code::DuplicateOrder, text("order ", order.client_order_id, " was restored already"), order.account,
         order.client_order_id);
  } else if (Instrument* instrument = known_instrument(order.symbol, order.account, order.client_order_id)) {
    restore->order(command, *instrument);
  }
}

void Engine::Impl::on(const RestoreEnd& command) {
  Restore* restore = running_restore(command.account);
  if (restore == nullptr) {
    return;
  }
  Account& account = *state_.account(command.account);
  const auto fault = restore->fault();
  if (!fault) {
    restore->finish(exchange_);
  }
  restores_.erase(restores_.find(command.account));
  if (fault) {
    exchange_.forget(account);
    fail(Code::BadState, *fault, command.account);
    return;
  }
  answer_hash(account);
}

}  // namespace veloz
