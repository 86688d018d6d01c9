#include "stdio_loop.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string>

#include "line_reader.hpp"
#include "session.hpp"

namespace veloz {
namespace {

constexpr std::size_t kFlushAt = 1 << 18;

Nanos system_clock() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// Whether a failed call is worth repeating; waits when the descriptor is non-blocking.
bool retry(int descriptor, short events) {
  if (errno == EINTR) {
    return true;
  }
  if (errno != EAGAIN && errno != EWOULDBLOCK) {
    return false;
  }
  pollfd waiting{descriptor, events, 0};
  return ::poll(&waiting, 1, -1) >= 0 || errno == EINTR;
}

bool flush(int output, std::string& text) {
  std::size_t written = 0;
  while (written < text.size()) {
    const ssize_t n = ::write(output, text.data() + written, text.size() - written);
    if (n >= 0) {
      written += static_cast<std::size_t>(n);
    } else if (!retry(output, POLLOUT)) {
      return false;
    }
  }
  text.clear();
  return true;
}

/// Bytes read, 0 at the end of the input, -1 when it failed.
ssize_t fill(int input, LineReader& reader) {
  const std::span<char> room = reader.room();
  for (;;) {
    const ssize_t n = ::read(input, room.data(), room.size());
    if (n >= 0) {
      reader.filled(static_cast<std::size_t>(n));
      return n;
    }
    if (!retry(input, POLLIN)) {
      return -1;
    }
  }
}

}  // namespace

int serve(int input, int output) {
  std::string out;
  Session session(out, system_clock);
  LineReader reader;
  session.ready();
  for (;;) {
    while (const auto line = reader.next()) {
      if (line->too_long) {
        session.line_too_long();
      } else if (!session.line(line->text)) {
        return flush(output, out) ? 0 : 1;
      }
      if (out.size() >= kFlushAt && !flush(output, out)) {
        return 1;
      }
    }
    if (!flush(output, out)) {
      return 1;
    }
    if (const ssize_t n = fill(input, reader); n <= 0) {
      return n == 0 ? 0 : 1;
    }
  }
}

}  // namespace veloz
