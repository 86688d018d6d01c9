#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "account.hpp"
#include "pool.hpp"

namespace veloz {

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return hash_of(text);
  }
};

/// Everything the engine knows.
struct State {
  Nanos clock = 0;
  std::map<std::string, std::unique_ptr<Account>, std::less<>> accounts;  // ascending byte order
  std::unordered_map<std::string, std::unique_ptr<Instrument>, TextHash, std::equal_to<>> instruments;
  Pool<Order> orders;
  std::set<std::pair<Nanos, Order*>> expiries;  // of open GTD orders
  std::uint64_t next_serial = 1;
  bool kill = false;

  std::uint64_t accepted = 0;
  std::uint64_t fills = 0;
  std::size_t open_orders = 0;

  std::int64_t today() const {
    return clock / kDay;
  }

  Account* account(std::string_view name) const {
    const auto it = accounts.find(name);
    return it == accounts.end() ? nullptr : it->second.get();
  }
  Instrument* instrument(std::string_view symbol) const {
    const auto it = instruments.find(symbol);
    return it == instruments.end() ? nullptr : it->second.get();
  }
};

}  // namespace veloz
