#include "stdio_loop.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <string>
#include <thread>

#include "line_reader.hpp"
#include "test.hpp"

using namespace veloz;

namespace {

struct Pipe {
  Pipe() {
    CHECK(::pipe(ends.data()) == 0);
  }
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  void close_end(std::size_t end) {
    if (ends[end] >= 0) {
      ::close(ends[end]);
      ends[end] = -1;
    }
  }
  int reader() const {
    return ends[0];
  }
  int writer() const {
    return ends[1];
  }

  std::array<int, 2> ends{-1, -1};
};

std::string read_all(int descriptor) {
  std::string all;
  std::array<char, 65'536> piece;
  for (ssize_t n; (n = ::read(descriptor, piece.data(), piece.size())) > 0;) {
    all.append(piece.data(), static_cast<std::size_t>(n));
  }
  return all;
}

/// Reads until the text ends with `end`.
std::string read_until(int descriptor, std::string_view end) {
  std::string all;
  std::array<char, 4'096> piece;
  while (!all.ends_with(end)) {
    const ssize_t n = ::read(descriptor, piece.data(), piece.size());
    if (n <= 0) {
      break;
    }
    all.append(piece.data(), static_cast<std::size_t>(n));
  }
  return all;
}

void write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(descriptor, text.data(), text.size());
    CHECK(n > 0);
    if (n <= 0) {
      return;
    }
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

/// An engine served in a thread between two pipes.
struct Served {
  Served()
      : thread([this] {
          status = serve(input.reader(), output.writer());
          output.close_end(1);
        }) {}
  ~Served() {
    input.close_end(1);
    if (thread.joinable()) {
      thread.join();
    }
  }

  Pipe input;
  Pipe output;
  int status = -1;
  std::thread thread;
};

}  // namespace

TEST("each command is answered before the next is sent") {
  Served engine;
  CHECK(read_until(engine.output.reader(), "\n").starts_with("{\"type\":\"ready\""));
  for (int i = 1; i <= 50; ++i) {
    const std::string n = std::to_string(i);
    write_all(engine.input.writer(), "@" + n + " PING ts=" + n + "\n");
    CHECK_EQ(
        read_until(engine.output.reader(), "\"done\",\"req\":" + n + "}\n"),
        "{\"type\":\"pong\",\"req\":" + n + ",\"ts_ns\":" + n + "}\n{\"type\":\"done\",\"req\":" + n + "}\n");
  }
}

TEST("the end of the input ends the engine with status 0, its output written") {
  Served engine;
  write_all(engine.input.writer(), "PING a ts=1\nPING half");
  engine.input.close_end(1);
  const std::string all = read_all(engine.output.reader());
  engine.thread.join();
  CHECK_EQ(engine.status, 0);
  CHECK(all.ends_with("{\"type\":\"pong\",\"ts_ns\":1,\"token\":\"a\"}\n"));
}

TEST("QUIT ends the engine with status 0 and later lines are not read") {
  Served engine;
  write_all(engine.input.writer(), "@1 QUIT\nPING never\n");
  const std::string all = read_all(engine.output.reader());
  engine.thread.join();
  CHECK_EQ(engine.status, 0);
  CHECK(all.ends_with("{\"type\":\"done\",\"req\":1}\n"));
}

TEST("binary noise and endless lines are answered by errors and survived") {
  Served engine;
  std::string noise;
  for (int i = 0; i < 200'000; ++i) {
    noise += static_cast<char>(i * 31 % 251);
  }
  std::thread writer([&] {
    write_all(engine.input.writer(), noise + "\n" + std::string(1'000'000, 'x') + "\n@7 PING ts=1\n");
    engine.input.close_end(1);
  });
  const std::string all = read_all(engine.output.reader());
  writer.join();
  engine.thread.join();
  CHECK_EQ(engine.status, 0);
  CHECK(all.find("LINE_TOO_LONG") != std::string::npos);
  CHECK(all.find("BAD_BYTE") != std::string::npos);
  CHECK(all.ends_with("{\"type\":\"done\",\"req\":7}\n"));
}

TEST("a closed output ends the engine quietly with status 1") {
  std::signal(SIGPIPE, SIG_IGN);
  Served engine;
  read_until(engine.output.reader(), "\n");
  engine.output.close_end(0);
  write_all(engine.input.writer(), "PING\n");
  engine.thread.join();
  CHECK_EQ(engine.status, 1);
}

TEST("non-blocking descriptors are waited for") {
  Served engine;
  ::fcntl(engine.input.reader(), F_SETFL, O_NONBLOCK);
  ::fcntl(engine.output.writer(), F_SETFL, O_NONBLOCK);
  std::string lines;
  for (int i = 0; i < 20'000; ++i) {
    lines += "PING abcdefghijklmnopqrstuvwxyz ts=1\n";
  }
  std::thread writer([&] {
    write_all(engine.input.writer(), lines);
    engine.input.close_end(1);
  });
  const std::string all = read_all(engine.output.reader());
  writer.join();
  engine.thread.join();
  CHECK_EQ(engine.status, 0);
  CHECK_EQ(std::count(all.begin(), all.end(), '\n'), 20'001);
}
