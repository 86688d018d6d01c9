#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "commands.hpp"

namespace veloz::bench {

/// A fixed, seeded stream of trading. In a hundred commands 10 are marketable orders, 6 quotes, 6 prints; the
/// others place limit orders that rest, or cancel one when `open` of them have not been cancelled yet.
/// It is made piece by piece, so that what is measured is the engine and not the reading of a long list.
class OrderMix {
 public:
  OrderMix(std::size_t accounts, std::size_t symbols, std::size_t open);

  /// Symbols, accounts, deposits and limits. Valid as long as the mix.
  std::vector<Command> set_up() const;
  /// The next commands; valid until the next call.
  const std::vector<Command>& next(std::size_t count);
  /// New orders in the last piece.
  std::size_t orders() const {
    return orders_;
  }
  /// A command as a protocol line.
  static std::string line(const Command& command);

 private:
  struct Live {
    std::size_t account;
    std::size_t id;  // its place in ids_
  };

  void add_command();
  void add_order(bool marketable);
  void add_cancel();
  void add_quote();
  void add_print();
  std::size_t fresh_id();
  std::uint32_t random(std::uint32_t below);

  std::vector<std::string> accounts_;
  std::vector<std::string> symbols_;
  std::vector<Units> mid_;           // by symbol
  std::deque<std::string> ids_;      // reused once their order is gone and its piece is over
  std::vector<std::size_t> unused_;  // places in ids_
  std::vector<std::size_t> leaving_;
  std::vector<Live> live_;
  std::vector<Command> commands_;
  std::size_t open_;
  std::size_t orders_ = 0;
  std::uint64_t numbered_ = 0;
  std::uint64_t seed_ = 42;
};

}  // namespace veloz::bench
