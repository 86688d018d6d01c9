#include "session.hpp"

#include "line_reader.hpp"

namespace veloz {

Session::Session(std::string& out, SystemClock clock) : sink_(out), engine_(sink_), clock_(clock) {}

bool Session::line(std::string_view text) {
  const Parsed parsed = parser_.parse(text);
  if (!parsed.command && !parsed.refusal) {
    return true;
  }
  sink_.set_req(parsed.req);
  if (parsed.refusal) {
    engine_.refuse(parsed.refusal->code, parsed.refusal->message);
  } else {
    engine_.execute(parsed.ts ? *parsed.ts : clock_(), *parsed.command);
  }
  if (parsed.req) {
    sink_.done();
  }
  return !parsed.command || !std::holds_alternative<Quit>(*parsed.command);
}

void Session::line_too_long() {
  sink_.set_req(std::nullopt);
  engine_.refuse(Code::LineTooLong, "a line has at most " + std::to_string(kMaxLine) + " bytes");
}

}  // namespace veloz
