// How many orders a second the engine takes: through its typed interface with a sink that counts, and
// through the whole text path (a line in, JSON lines out). A mix of resting orders, cancels,
// marketable orders, quotes and prints; order_mix.hpp says which.

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine.hpp"
#include "order_mix.hpp"
#include "session.hpp"

namespace veloz::bench {
namespace {

struct CountingSink final : EventSink {
  std::uint64_t updates = 0, fills = 0, states = 0, accounts = 0, errors = 0, rejected = 0;

  void order_update(const OrderUpdateEvent& event) override {
    ++updates;
    rejected += event.status == Status::Rejected ? 1U : 0U;
  }
  void fill(const FillEvent&) override {
    ++fills;
  }
  void order_state(const OrderStateEvent&) override {
    ++states;
  }
  void account(const AccountEvent&) override {
    ++accounts;
  }
  void error(const ErrorEvent&) override {
    ++errors;
  }
};

struct Options {
  std::size_t orders = 1'000'000;
  std::size_t accounts = 16;
  std::size_t symbols = 4;
  std::size_t open = 10'000;
  bool json = false;
};

struct Time {
  double wall = 0;  // seconds
  double cpu = 0;   // of this process: what counts where others share the cores

  Time& operator+=(const Time& other) {
    wall += other.wall;
    cpu += other.cpu;
    return *this;
  }
};

struct Figure {
  Time time = {};
  std::size_t orders = 0;
  std::size_t commands = 0;

  double orders_per_second() const {
    return static_cast<double>(orders) / time.wall;
  }
  double orders_per_cpu_second() const {
    return static_cast<double>(orders) / time.cpu;
  }
  double ns_per_command() const {
    return time.cpu * 1e9 / static_cast<double>(commands);
  }
};

constexpr std::size_t kPiece = 4'096;      // commands
constexpr std::size_t kFlushAt = 1 << 18;  // bytes, as in the served engine
constexpr Nanos kStart = 1'700'000'000'000'000'000;

template <class Run>
Time time_of(Run run) {
  const auto start = std::chrono::steady_clock::now();
  const std::clock_t cpu_start = std::clock();
  run();
  const std::clock_t cpu_end = std::clock();
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
          static_cast<double>(cpu_end - cpu_start) / CLOCKS_PER_SEC};
}

Figure in_process(const Options& options, CountingSink& sink) {
  OrderMix mix(options.accounts, options.symbols, options.open);
  Engine engine(sink);
  Nanos now = kStart;
  for (const Command& command : mix.set_up()) {
    engine.execute(++now, command);
  }
  Figure figure;
  while (figure.orders < options.orders) {
    const std::vector<Command>& commands = mix.next(kPiece);
    figure.time += time_of([&] {
      for (const Command& command : commands) {
        engine.execute(now += 1'000, command);
      }
    });
    figure.orders += mix.orders();
    figure.commands += commands.size();
  }
  return figure;
}

Figure text_path(const Options& options, std::size_t& bytes) {
  OrderMix mix(options.accounts, options.symbols, options.open);
  std::string out;
  Session session(out, [] { return kStart; });
  for (const Command& command : mix.set_up()) {
    session.line(OrderMix::line(command));
  }
  Figure figure;
  std::vector<std::string> lines;
  while (figure.orders < options.orders) {
    lines.clear();
    for (const Command& command : mix.next(kPiece)) {
      lines.push_back("@1 " + OrderMix::line(command) + " ts=1700000000000000000");
    }
    figure.time += time_of([&] {
      for (const std::string& line : lines) {
        session.line(line);
        if (out.size() > kFlushAt) {
          bytes += out.size();
          out.clear();
        }
      }
    });
    figure.orders += mix.orders();
    figure.commands += lines.size();
  }
  bytes += out.size();
  return figure;
}

std::optional<Options> read_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    std::size_t* number = word == "--orders"     ? &options.orders
                          : word == "--accounts" ? &options.accounts
                          : word == "--symbols"  ? &options.symbols
                          : word == "--open"     ? &options.open
                                                 : nullptr;
    if (word == "--json") {
      options.json = true;
    } else if (number != nullptr && i + 1 < argc) {
      const char* const end = argv[i + 1] + std::strlen(argv[i + 1]);
      const auto read = std::from_chars(argv[++i], end, *number);
      if (read.ec != std::errc{} || read.ptr != end || *number == 0 || *number > 100'000'000) {
        return std::nullopt;
      }
    } else {
      return std::nullopt;
    }
  }
  return options;
}

void print_figure(bool json, const char* what, const Figure& figure) {
  const char* const format =
      json ? ",\"%s\":{\"orders_per_second\":%.0f,\"orders_per_cpu_second\":%.0f,\"cpu_ns_per_command\":%.1f}"
           : "%s: %.0f orders/s, %.0f orders per second of processor time, %.1f ns of it per command\n";
  std::printf(format, what, figure.orders_per_second(), figure.orders_per_cpu_second(),
              figure.ns_per_command());
}

void print_figures(bool json, const Figure& typed, const Figure& lines, const CountingSink& sink) {
  const char* const format =
      json ? "{\"orders\":%zu,\"commands\":%zu,\"fills\":%llu,\"rejected\":%llu,\"not_found\":%llu"
           : "%zu orders in %zu commands: %llu fills, %llu rejected, %llu cancels came too late\n";
  std::printf(format, typed.orders, typed.commands, static_cast<unsigned long long>(sink.fills),
              static_cast<unsigned long long>(sink.rejected), static_cast<unsigned long long>(sink.errors));
  print_figure(json, "in_process", typed);
  print_figure(json, "text_path", lines);
  std::printf(json ? "}\n" : "");
}

}  // namespace
}  // namespace veloz::bench

int main(int argc, char** argv) {
  using namespace veloz::bench;
  const auto options = read_options(argc, argv);
  if (!options) {
    std::fprintf(stderr,
                 "usage: veloz_bench [--orders N] [--accounts N] [--symbols N] [--open N] [--json]\n");
    return 2;
  }
  CountingSink sink;
  const Figure typed = in_process(*options, sink);
  std::size_t bytes = 0;
  const Figure lines = text_path(*options, bytes);
  print_figures(options->json, typed, lines, sink);
  // A mix that trades nothing would measure nothing.
  return sink.fills > 0 && bytes > 0 ? 0 : 1;
}
