#include "order_mix.hpp"

#include "decimal.hpp"

namespace veloz::bench {
namespace {

constexpr Units kTick = kOne / 100;
constexpr Units kLot = kOne / 1000;
constexpr Units kMid = 40'000 * kOne;

std::string words(std::initializer_list<std::string_view> pieces) {
  std::string out;
  for (const std::string_view piece : pieces) {
    out += piece;
    out += ' ';
  }
  out.pop_back();
  return out;
}

struct ToLine {
  std::string operator()(const NewOrder& c) const {
    return words({"ORDER", name(c.side), c.symbol, decimal_text(c.qty), decimal_text(c.price),
                  c.client_order_id, name(c.type), name(c.tif)}) +
           " acct=" + std::string(c.account);
  }
  std::string operator()(const CancelOrder& c) const {
    return words({"CANCEL", c.client_order_id}) + " acct=" + std::string(c.account);
  }
  std::string operator()(const Quote& c) const {
    return words({"QUOTE", c.symbol, decimal_text(c.bid), decimal_text(c.bid_qty), decimal_text(c.ask),
                  decimal_text(c.ask_qty)});
  }
  std::string operator()(const Print& c) const {
    return words({"TRADE", c.symbol, decimal_text(c.price), decimal_text(c.qty)});
  }
  std::string operator()(const DefineSymbol& c) const {
    return words({"SYMBOL", c.symbol}) + " base=" + std::string(c.base) + " quote=" + std::string(c.quote) +
           " tick=" + decimal_text(c.tick) + " lot=" + decimal_text(c.lot);
  }
  std::string operator()(const OpenAccount& c) const {
    return words({"ACCOUNT", c.account});
  }
  std::string operator()(const TransferFunds& c) const {
    return words({"DEPOSIT", c.asset, decimal_text(c.amount)}) + " acct=" + std::string(c.account);
  }
  template <class Other>
  std::string operator()(const Other&) const {
    return "PING";
  }
};

}  // namespace

OrderMix::OrderMix(std::size_t accounts, std::size_t symbols, std::size_t open) : open_(open) {
  for (std::size_t i = 0; i < accounts; ++i) {
    accounts_.push_back("account-" + std::to_string(i));
  }
  for (std::size_t i = 0; i < symbols; ++i) {
    symbols_.push_back("C" + std::to_string(i) + "USDT");
    mid_.push_back(kMid);
  }
}

std::string OrderMix::line(const Command& command) {
  return std::visit(ToLine{}, command);
}

std::vector<Command> OrderMix::set_up() const {
  std::vector<Command> commands;
  const auto base_of = [](std::string_view symbol) { return symbol.substr(0, symbol.size() - 4); };
  for (const std::string& symbol : symbols_) {
    commands.push_back(DefineSymbol{symbol, base_of(symbol), "USDT", kTick, kLot});
    commands.push_back(Quote{symbol, kMid - kTick, 10 * kOne, kMid + kTick, 10 * kOne, {}});
    commands.push_back(Print{symbol, kMid, kOne, {}});
  }
  for (const std::string& account : accounts_) {
    commands.push_back(OpenAccount{account});
    commands.push_back(TransferFunds{account, "USDT", 10'000'000'000 * kOne, {}});
    for (const std::string& symbol : symbols_) {
      commands.push_back(TransferFunds{account, base_of(symbol), 1'000'000 * kOne, {}});
    }
    SetLimits limits;
    limits.account = account;
    limits.maker_fee_bps = kOne;
    limits.taker_fee_bps = 5 * kOne;
    limits.max_order_qty = 1'000 * kOne;
    limits.max_notional = 100'000'000 * kOne;
    limits.price_band_bps = 1'000 * kOne;
    limits.max_open_orders = 1'000'000;
    commands.push_back(limits);
  }
  return commands;
}

const std::vector<Command>& OrderMix::next(std::size_t count) {
  unused_.insert(unused_.end(), leaving_.begin(), leaving_.end());
  leaving_.clear();
  commands_.clear();
  orders_ = 0;
  while (commands_.size() < count) {
    add_command();
  }
  return commands_;
}

void OrderMix::add_command() {
  const std::uint32_t die = random(100);
  if (die < 6) {
    add_quote();
  } else if (die < 12) {
    add_print();
  } else if (die < 22) {
    add_order(true);
  } else if (live_.size() < open_) {
    add_order(false);
  } else {
    add_cancel();
  }
}

void OrderMix::add_order(bool marketable) {
  const std::size_t account = random(static_cast<std::uint32_t>(accounts_.size()));
  const std::size_t symbol = random(static_cast<std::uint32_t>(symbols_.size()));
  const Side side = random(2) == 0 ? Side::Buy : Side::Sell;
  const std::size_t id = fresh_id();
  const Units away = static_cast<Units>(2 + random(500)) * kTick;
  const Units sign = (side == Side::Buy) == marketable ? 1 : -1;
  NewOrder order{.account = accounts_[account],
                 .side = side,
                 .symbol = symbols_[symbol],
                 .qty = static_cast<Units>(1 + random(200)) * kLot,
                 .price = mid_[symbol] + sign * away,
                 .client_order_id = ids_[id],
                 .stp = SelfTrade::None};
  if (marketable && random(2) == 0) {
    order.type = OrderType::Market;
    order.tif = TimeInForce::Ioc;
    order.price = 0;
  }
  if (marketable) {
    leaving_.push_back(id);
  } else {
    live_.push_back({account, id});
  }
  ++orders_;
  commands_.push_back(order);
}

void OrderMix::add_cancel() {
  const std::size_t which = random(static_cast<std::uint32_t>(live_.size()));
  const Live live = live_[which];
  live_[which] = live_.back();
  live_.pop_back();
  leaving_.push_back(live.id);
  commands_.push_back(CancelOrder{.account = accounts_[live.account], .client_order_id = ids_[live.id]});
}

void OrderMix::add_quote() {
  const std::size_t symbol = random(static_cast<std::uint32_t>(symbols_.size()));
  mid_[symbol] += (static_cast<Units>(random(21)) - 10) * kTick;
  const Units mid = mid_[symbol];
  commands_.push_back(Quote{symbols_[symbol],
                            mid - kTick,
                            static_cast<Units>(1 + random(50)) * kOne / 10,
                            mid + kTick,
                            static_cast<Units>(1 + random(50)) * kOne / 10,
                            {}});
}

void OrderMix::add_print() {
  const std::size_t symbol = random(static_cast<std::uint32_t>(symbols_.size()));
  const Units price = mid_[symbol] + (static_cast<Units>(random(11)) - 5) * kTick;
  commands_.push_back(Print{symbols_[symbol], price, static_cast<Units>(1 + random(500)) * kLot, {}});
}

std::size_t OrderMix::fresh_id() {
  if (unused_.empty()) {
    unused_.push_back(ids_.size());
    ids_.emplace_back();
  }
  const std::size_t id = unused_.back();
  unused_.pop_back();
  ids_[id] = "order-" + std::to_string(numbered_++);
  return id;
}

std::uint32_t OrderMix::random(std::uint32_t below) {
  // splitmix64: the same mix on every machine.
  std::uint64_t z = (seed_ += 0x9e3779b97f4a7c15U);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  return static_cast<std::uint32_t>((z ^ (z >> 31)) % below);
}

}  // namespace veloz::bench
