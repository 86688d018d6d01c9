#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "commands.hpp"
#include "events.hpp"

namespace veloz {

/// The order engine of docs/engine_protocol.md: single-threaded, deterministic, without I/O or clock.
/// Every command comes with the time it is carried out at (`ts=`, or the system clock); the engine's
/// own clock is the greatest of them. All events of a command reach the sink before the call returns.
class Engine {
 public:
  explicit Engine(EventSink& sink);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  void execute(Nanos now, const Tick& command);
  void execute(Nanos now, const DefineSymbol& command);
  void execute(Nanos now, const OpenAccount& command);
  void execute(Nanos now, const TransferFunds& command);
  void execute(Nanos now, const SetLimits& command);
  void execute(Nanos now, const HashAccount& command);
  void execute(Nanos now, const ShowState& command);
  void execute(Nanos now, const ForgetAccount& command);
  void execute(Nanos now, const ShowStats& command);
  void execute(Nanos now, const Ping& command);
  void execute(Nanos now, const Quit& command);
  void execute(Nanos now, const NewOrder& command);
  void execute(Nanos now, const CancelOrder& command);
  void execute(Nanos now, const CancelAll& command);
  void execute(Nanos now, const AmendOrder& command);
  void execute(Nanos now, const Print& command);
  void execute(Nanos now, const Quote& command);
  void execute(Nanos now, const DepthSnapshot& command);
  void execute(Nanos now, const DepthUpdate& command);
  void execute(Nanos now, const RestoreBegin& command);
  void execute(Nanos now, const RestoreBalance& command);
  void execute(Nanos now, const RestorePosition& command);
  void execute(Nanos now, const RestoreOrder& command);
  void execute(Nanos now, const RestoreEnd& command);
  void execute(Nanos now, const Command& command);

  /// Reports a line that could not be read as a command: an `error` event, counted, clock untouched.
  void refuse(Code code, std::string_view message);

  /// SHA-256 of the account's state in lower-case hex (section 8); empty when it is not there.
  std::string hash(std::string_view account) const;
  /// The text that `hash` digests.
  std::string state_text(std::string_view account) const;
  Nanos clock() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace veloz
