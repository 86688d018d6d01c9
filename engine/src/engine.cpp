#include "engine.hpp"

#include "digest.hpp"
#include "engine_impl.hpp"
#include "text.hpp"

namespace veloz {

Engine::Engine(EventSink& sink) : impl_(std::make_unique<Impl>(sink)) {}
Engine::~Engine() = default;

// clang-format off
void Engine::execute(Nanos now, const Tick& command) { impl_->run(now, command); }
void Engine::execute(Nanos now, const DefineSymbol& command) { impl_->run(now, command); }
void Engine::execute(Nanos now, const OpenAccount& command) { impl_->run(now, command); }
void Engine::execute(Nanos now, const TransferFunds& command) { impl_->run(now, command); }
void Engine::execute(Nanos now, const SetLimits& command) { impl_->run(now, command); }
void Engine::execute(Nanos now, const HashAccount& command) { impl_->run(now, command); }
void Engine::execute(Nanos now, const ShowState& command) { impl_->run(now, command); }
void Engine::execute(Nanos now, const ForgetAccount& command) { impl_->run(now, command); }
void Engine::execute(Nanos now, const ShowStats& command) { impl_->run(now, command); }
void Engine::execute(Nanos now, const Ping& command) { impl_->run(now, command); }
void Engine::execute(Nanos now, const Quit& command) { impl_->run(now, command); }
void Engine::execute(Nanos now, const NewOrder& command) { impl_->run(now, command); }
void Engine::execute(Nanos now, const CancelOrder& command) { impl_->run(now, command); }
void Engine::execute(Nanos now, const CancelAll& command) { impl_->run(now, command); }
void Engine::execute(Nanos now, const AmendOrder& command) { impl_->run(now, command); }
void Engine::execute(Nanos now, const Print& command) { impl_->run(now, command); }
void Engine::execute(Nanos now, const Quote& command) { impl_->run(now, command); }
void Engine::execute(Nanos now, const DepthSnapshot& command) { impl_->run(now, command); }
void Engine::execute(Nanos now, const DepthUpdate& command) { impl_->run(now, command); }
void Engine::execute(Nanos now, const RestoreBegin& command) { impl_->run(now, command); }
void Engine::execute(Nanos now, const RestoreBalance& command) { impl_->run(now, command); }
void Engine::execute(Nanos now, const RestorePosition& command) { impl_->run(now, command); }
void Engine::execute(Nanos now, const RestoreOrder& command) { impl_->run(now, command); }
void Engine::execute(Nanos now, const RestoreEnd& command) { impl_->run(now, command); }
// clang-format on

void Engine::execute(Nanos now, const Command& command) {
  std::visit([&](const auto& one) { execute(now, one); }, command);
}

void Engine::refuse(Code code, std::string_view message) {
  impl_->refuse(code, message);
}

std::string Engine::hash(std::string_view account) const {
  const Account* known = impl_->state().account(account);
  return known == nullptr ? std::string() : state_hash(*known);
}

std::string Engine::state_text(std::string_view account) const {
  const Account* known = impl_->state().account(account);
  return known == nullptr ? std::string() : veloz::state_text(*known);
}

Nanos Engine::clock() const {
  return impl_->state().clock;
}

void Engine::Impl::begin(Nanos now) {
  state_.clock = std::max(state_.clock, now);
  if (!first_clock_) {
    first_clock_ = state_.clock;
  }
  ++commands_;
  exchange_.expire_due();
}

void Engine::Impl::refuse(Code code, std::string_view message) {
  ++commands_;
  fail(code, message);
}

void Engine::Impl::fail(Code code, std::string_view message, std::string_view account, std::string_view id) {
  outbox_.settle();
  ++errors_;
  sink().error({state_.clock, code, message, account, id});
}

Account* Engine::Impl::live_account(std::string_view name, std::string_view id) {
  Account* account = state_.account(name);
  if (account == nullptr) {
    fail(Code::UnknownAccount, text("account ", name, " is not there; open it with ACCOUNT"), name, id);
    return nullptr;
  }
  if (account->restoring) {
    fail(Code::Restoring, text("account ", name, " takes no commands before its RESTORE END"), name, id);
    return nullptr;
  }
  return account;
}

Instrument* Engine::Impl::known_instrument(std::string_view symbol, std::string_view account,
                                           std::string_view id) {
  Instrument* instrument = state_.instrument(symbol);
  if (instrument == nullptr) {
    fail(Code::UnknownSymbol, text("symbol ", symbol, " is not defined; define it with SYMBOL"), account, id);
  }
  return instrument;
}

Order* Engine::Impl::open_order(std::string_view account, std::string_view id) {
  const Account* owner = live_account(account, id);
  if (owner == nullptr) {
    return nullptr;
  }
  Order* order = owner->open_orders.find(id);
  if (order == nullptr) {
    fail(Code::NotFound, text("account ", account, " has no open order ", id), account, id);
  }
  return order;
}

}  // namespace veloz
