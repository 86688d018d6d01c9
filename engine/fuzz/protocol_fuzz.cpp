// Any bytes as the engine's input. Whatever they are, the engine must answer in whole lines of printable
// ASCII, keep its money straight, and give the same answers when the same bytes come in other pieces.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "line_reader.hpp"
#include "session.hpp"

namespace {

void require(bool held, const char* what) {
  if (!held) {
    std::fprintf(stderr, "protocol_fuzz: %s\n", what);
    std::abort();
  }
}

std::string answers_to(std::string_view input, std::size_t piece) {
  std::string out;
  veloz::Session session(out, [] { return veloz::Nanos{1'700'000'000'000'000'000}; });
  veloz::LineReader reader;
  session.ready();
  while (!input.empty()) {
    const auto room = reader.room();
    const std::size_t n = std::min({piece, room.size(), input.size()});
    std::copy_n(input.data(), n, room.data());
    reader.filled(n);
    input.remove_prefix(n);
    while (const auto line = reader.next()) {
      if (line->too_long) {
        session.line_too_long();
      } else if (!session.line(line->text)) {
        return out;
      }
    }
  }
  return out;
}

void check_lines(std::string_view out) {
  while (!out.empty()) {
    const std::size_t end = out.find('\n');
    require(end != std::string_view::npos, "output ends within a line");
    const std::string_view line = out.substr(0, end);
    require(line.starts_with("{\"type\":\"") && line.ends_with('}'), "a line is no event");
    require(std::ranges::all_of(line, [](char c) { return c >= 0x20 && c <= 0x7e; }),
            "a line is not printable ASCII");
    require(line.find("\"free\":-") == std::string_view::npos, "a free balance is negative");
    require(line.find("\"locked\":-") == std::string_view::npos, "a locked balance is negative");
    out.remove_prefix(end + 1);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string whole = answers_to(input, size);
  check_lines(whole);
  require(whole == answers_to(input, 7), "the answers depend on the pieces the input comes in");
  return 0;
}
