#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine.hpp"
#include "exchange.hpp"
#include "outbox.hpp"
#include "restore.hpp"
#include "state.hpp"

namespace veloz {

/// One `on` for each command; the files engine_*.cpp hold them by subject.
class Engine::Impl {
 public:
  explicit Impl(EventSink& sink) : outbox_(sink, state_), exchange_(state_, outbox_) {}

  template <class Command>
  void run(Nanos now, const Command& command) {
    begin(now);
    on(command);
    outbox_.settle();
  }
  void refuse(Code code, std::string_view message);
  const State& state() const {
    return state_;
  }

 private:
  void begin(Nanos now);
  EventSink& sink() {
    return outbox_.sink();
  }

  void on(const Tick&) {}
  void on(const Quit&) {}
  void on(const DefineSymbol& command);
  void on(const OpenAccount& command);
  void on(const TransferFunds& command);
  void on(const SetLimits& command);
  void on(const HashAccount& command);
  void on(const ShowState& command);
  void on(const ForgetAccount& command);
  void on(const ShowStats& command);
  void on(const Ping& command);
  void on(const NewOrder& command);
  void on(const CancelOrder& command);
  void on(const CancelAll& command);
  void on(const AmendOrder& command);
  void on(const Print& command);
  void on(const Quote& command);
  void on(const DepthSnapshot& command);
  void on(const DepthUpdate& command);
  void on(const RestoreBegin& command);
  void on(const RestoreBalance& command);
  void on(const RestorePosition& command);
  void on(const RestoreOrder& command);
  void on(const RestoreEnd& command);

  /// Errors come after what the clock has caused.
  void fail(Code code, std::string_view message, std::string_view account = {}, std::string_view id = {});
  /// The account when it is there and not being restored; else an error and null.
  Account* live_account(std::string_view name, std::string_view id = {});
  Account& add_account(std::string_view name);
  /// The instrument; else an error and null.
  Instrument* known_instrument(std::string_view symbol, std::string_view account = {},
                               std::string_view id = {});
  /// The restore of the account; else an error and null.
  Restore* running_restore(std::string_view account, std::string_view id = {});
  /// An open order of a live account; else an error and null.
  Order* open_order(std::string_view account, std::string_view id);
  /// Checks the rules of section 5 that need no state.
  bool well_shaped(const NewOrder& command);
  void submit(const NewOrder& command, Account& account);
  void cancel_all(Account& account, const CancelAll& command);
  void answer_hash(const Account& account);
  void answer_limits(const Account& account);
  void after_book_change(Instrument& instrument, BookChange change, std::optional<Nanos> event_ts,
                         std::optional<std::int64_t> first_id = std::nullopt);
  void answer_market(const Instrument& instrument, std::optional<Nanos> event_ts);

  State state_;
  Outbox outbox_;
  Exchange exchange_;
  std::map<std::string, Restore, std::less<>> restores_;
  std::optional<Nanos> first_clock_;
  std::uint64_t commands_ = 0;
  std::uint64_t errors_ = 0;
};

}  // namespace veloz
