#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "engine.hpp"
#include "json_sink.hpp"
#include "parser.hpp"

namespace veloz {

/// The text protocol without its pipes: lines in, event lines at the end of a string.
class Session {
 public:
  using SystemClock = Nanos (*)();

  /// `clock` is asked for commands without `ts=`. `out` must outlive the session.
  Session(std::string& out, SystemClock clock);

  void ready() {
    sink_.ready();
  }
  /// Carries out a line. False when it was QUIT.
  bool line(std::string_view text);
  void line_too_long();

 private:
  JsonSink sink_;
  Engine engine_;
  Parser parser_;
  SystemClock clock_;
};

}  // namespace veloz
