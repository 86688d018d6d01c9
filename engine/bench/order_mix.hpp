#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "commands.hpp"

namespace veloz::bench {

/// A fixed, seeded day of trading. In a hundred commands 10 are marketable orders, 6 quotes, 6 prints; the
/// others place limit orders that rest, or cancel one when `open` of them have not been cancelled yet.
/// The commands' text lives in the mix.
class OrderMix {
 public:
  OrderMix(std::size_t orders, std::size_t accounts, std::size_t symbols, std::size_t open);

  const std::vector<Command>& set_up() const { return set_up_; }
  const std::vector<Command>& commands() const { return commands_; }
  /// New orders among the commands.
  std::size_t orders() const { return orders_; }
  /// The same commands as protocol lines.
  static std::string line(const Command& command);

 private:
  struct Live {
    std::size_t account;
    std::uint32_t id;
  };

  void add_set_up(std::size_t accounts, std::size_t symbols);
  void add_command();
  void add_order(bool marketable);
  void add_cancel();
  void add_quote();
  void add_print();
  std::uint32_t random(std::uint32_t below);

  std::vector<std::string> accounts_;
  std::vector<std::string> symbols_;
  std::vector<std::string> ids_;
  std::vector<Units> mid_;  // by symbol
  std::vector<Live> live_;
  std::vector<Command> set_up_;
  std::vector<Command> commands_;
  std::size_t orders_ = 0;
  std::size_t open_;
  std::uint64_t seed_ = 42;
};

}  // namespace veloz::bench
