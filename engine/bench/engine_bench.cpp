// How many orders a second the engine takes: through its typed interface with a sink that counts, and
// through the whole text path (a line in, JSON lines out). A mix of resting orders, cancels,
// marketable orders, quotes and prints; order_mix.hpp says which.

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

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
  void fill(const FillEvent&) override { ++fills; }
  void order_state(const OrderStateEvent&) override { ++states; }
  void account(const AccountEvent&) override { ++accounts; }
  void error(const ErrorEvent&) override { ++errors; }
};

struct Options {
  std::size_t orders = 1'000'000;
  std::size_t accounts = 16;
  std::size_t symbols = 4;
  std::size_t open = 10'000;
  bool json = false;
};

struct Figure {
  double seconds = 0;
  std::size_t orders = 0;
  std::size_t commands = 0;

  double orders_per_second() const { return static_cast<double>(orders) / seconds; }
  double ns_per_command() const { return seconds * 1e9 / static_cast<double>(commands); }
};

constexpr Nanos kStart = 1'700'000'000'000'000'000;

template <class Run>
double seconds_of(Run run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Figure in_process(const OrderMix& mix, CountingSink& sink) {
  Engine engine(sink);
  Nanos now = kStart;
  for (const Command& command : mix.set_up()) {
    engine.execute(++now, command);
  }
  const double seconds = seconds_of([&] {
    for (const Command& command : mix.commands()) {
      engine.execute(now += 1'000, command);
    }
  });
  return {seconds, mix.orders(), mix.commands().size()};
}

Figure text_path(const OrderMix& mix, std::size_t& bytes) {
  std::string out;
  Session session(out, [] { return kStart; });
  for (const Command& command : mix.set_up()) {
    session.line(OrderMix::line(command));
  }
  std::vector<std::string> lines;
  for (const Command& command : mix.commands()) {
    lines.push_back("@1 " + OrderMix::line(command) + " ts=1700000000000000000");
  }
  const double seconds = seconds_of([&] {
    for (const std::string& line : lines) {
      out.clear();
      session.line(line);
      bytes += out.size();
    }
  });
  return {seconds, mix.orders(), lines.size()};
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

void print_figures(const Options& options, const Figure& typed, const Figure& lines, const CountingSink& sink) {
  const char* const format =
      options.json
          ? "{\"orders\":%zu,\"commands\":%zu,\"fills\":%llu,\"rejected\":%llu,\"errors\":%llu,"
            "\"in_process\":{\"orders_per_second\":%.0f,\"ns_per_command\":%.1f},"
            "\"text_path\":{\"orders_per_second\":%.0f,\"ns_per_command\":%.1f}}\n"
          : "%zu orders in %zu commands: %llu fills, %llu rejected, %llu cancels of orders already closed\n"
            "in process  %12.0f orders/s %8.1f ns per command\n"
            "text path   %12.0f orders/s %8.1f ns per command\n";
  std::printf(format, typed.orders, typed.commands, static_cast<unsigned long long>(sink.fills),
              static_cast<unsigned long long>(sink.rejected), static_cast<unsigned long long>(sink.errors),
              typed.orders_per_second(), typed.ns_per_command(), lines.orders_per_second(), lines.ns_per_command());
}

}  // namespace
}  // namespace veloz::bench

int main(int argc, char** argv) {
  using namespace veloz::bench;
  const auto options = read_options(argc, argv);
  if (!options) {
    std::fprintf(stderr, "usage: engine_bench [--orders N] [--accounts N] [--symbols N] [--open N] [--json]\n");
    return 2;
  }
  const OrderMix mix(options->orders, options->accounts, options->symbols, options->open);
  CountingSink sink;
  const Figure typed = in_process(mix, sink);
  std::size_t bytes = 0;
  const Figure lines = text_path(mix, bytes);
  print_figures(*options, typed, lines, sink);
  // A mix that trades nothing would measure nothing.
  return sink.fills > 0 && bytes > 0 ? 0 : 1;
}
