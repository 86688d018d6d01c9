#include "engine_under_test.hpp"

#include <algorithm>
#include <sstream>

#include "line_reader.hpp"
#include "session.hpp"

namespace veloz::reference {

class EngineUnderTest::Impl {
 public:
  // Every command carries `ts=`; a system clock that stands still lets one that does not be seen.
  std::string out;
  Session session{out, [] { return Nanos{0}; }};
  LineReader reader;
};

EngineUnderTest::EngineUnderTest() : impl_(std::make_unique<Impl>()) {}
EngineUnderTest::~EngineUnderTest() = default;

std::vector<std::string> EngineUnderTest::run(const std::string& line) {
  const std::string bytes = line + "\n";
  impl_->out.clear();
  for (std::size_t sent = 0; sent < bytes.size();) {
    const auto room = impl_->reader.room();
    const std::size_t size = std::min(room.size(), bytes.size() - sent);
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(sent), size, room.begin());
    impl_->reader.filled(size);
    sent += size;
    while (const auto read = impl_->reader.next()) {
      if (read->too_long) {
        impl_->session.line_too_long();
      } else {
        impl_->session.line(read->text);
      }
    }
  }
  std::vector<std::string> events;
  std::istringstream output(impl_->out);
  for (std::string event; std::getline(output, event);)
    events.push_back(event);
  return events;
}

std::string without_message(const std::string& event) {
  const std::string mark = ",\"message\":\"";
  const auto start = event.find(mark);
  if (start == std::string::npos)
    return event;
  auto end = start + mark.size();
  while (event.at(end) != '"')
    end += event[end] == '\\' ? 2 : 1;
  return event.substr(0, start) + event.substr(end + 1);
}

}  // namespace veloz::reference
