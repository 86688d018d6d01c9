#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "commands.hpp"
#include "decimal.hpp"
#include "types.hpp"

/// The events of docs/engine_protocol.md, section 2. Views live as long as the call that hands the
/// event over. `req`, `ready` and `done` belong to the text protocol and are not seen here.
namespace veloz {

struct MarketEvent {
  std::string_view symbol = {};
  Nanos ts = 0;
  std::optional<PriceQty> last = {};
  std::optional<PriceQty> bid = {};
  std::optional<PriceQty> ask = {};
};

struct BookEvent {
  std::string_view symbol = {};
  Nanos ts = 0;
  BookStatus status = BookStatus::Synced;
  std::optional<std::int64_t> expected = {};
  std::optional<std::int64_t> got = {};
};

struct OrderUpdateEvent {
  std::string_view account = {};
  Nanos ts = 0;
  std::string_view client_order_id = {};
  Status status = Status::Accepted;
  std::string_view symbol = {};
  Side side = Side::Buy;
  Units qty = 0;
  Units price = 0;
  OrderType type = OrderType::Limit;
  TimeInForce tif = TimeInForce::Gtc;
  Units stop = 0;    // 0: left out
  Nanos expire = 0;  // 0: left out
  SelfTrade stp = SelfTrade::CancelNewest;
  bool triggered = false;
  std::uint64_t rank = 0;        // 0 when REJECTED
  std::string_view reason = {};  // empty: left out
};

struct FillEvent {
  std::string_view account = {};
  Nanos ts = 0;
  std::string_view client_order_id = {};
  std::string_view symbol = {};
  Side side = Side::Buy;
  Units qty = 0;
  Units price = 0;
  Units fee = 0;
  std::string_view fee_asset = {};
  Liquidity liquidity = Liquidity::Maker;
  std::uint64_t trade_id = 0;
};

struct TransferEvent {
  std::string_view account = {};
  Nanos ts = 0;
  std::string_view asset = {};
  Units amount = 0;  // signed
  std::string_view ref = {};
};

struct OrderStateEvent {
  std::string_view account = {};
  std::string_view client_order_id = {};
  std::string_view symbol = {};
  Side side = Side::Buy;
  Units qty = 0;
  Units price = 0;
  Units stop = 0;    // 0: left out
  Nanos expire = 0;  // 0: left out
  Status status = Status::Accepted;
  std::string_view reason = {};
  Units executed_qty = 0;
  Units executed_notional = 0;
  OrderType type = OrderType::Limit;
  TimeInForce tif = TimeInForce::Gtc;
  SelfTrade stp = SelfTrade::CancelNewest;
  bool triggered = false;
  std::uint64_t rank = 0;
  Nanos created = 0;
  Nanos last = 0;

  Int128 avg_price() const {
    return average_price(executed_notional, executed_qty);
  }
};

struct BalanceRow {
  std::string_view asset = {};
  Units free = 0;
  Units locked = 0;
};

struct PositionRow {
  std::string_view symbol = {};
  Units qty = 0;
  Units cost = 0;
  Units realised = 0;
  std::int64_t day = 0;
  Units day_realised = 0;

  Int128 avg_price() const {
    return average_price(cost, qty);
  }
};

struct AccountEvent {
  std::string_view account = {};
  Nanos ts = 0;
  std::span<const BalanceRow> balances = {};    // sorted by asset
  std::span<const PositionRow> positions = {};  // sorted by symbol
};

struct LimitsEvent {
  std::string_view account = {};
  Nanos ts = 0;
  Units maker_fee_bps = 0;
  Units taker_fee_bps = 0;
  Units max_order_qty = 0;
  Units max_notional = 0;
  Units price_band_bps = 0;
  std::int64_t max_open_orders = 0;
  Units max_position = 0;
  std::int64_t order_rate = 0;
  Units daily_loss = 0;
  bool kill = false;
};

struct HashEvent {
  std::string_view account = {};
  std::string_view hash = {};
  std::size_t open_orders = 0;
};

struct StatsEvent {
  Nanos uptime = 0;
  std::uint64_t commands = 0;
  std::uint64_t errors = 0;
  std::uint64_t orders = 0;
  std::uint64_t fills = 0;
  std::size_t accounts = 0;
  std::size_t open_orders = 0;
  std::size_t symbols = 0;
};

struct PongEvent {
  Nanos ts = 0;
  std::string_view token = {};  // empty: left out
};

struct ErrorEvent {
  Nanos ts = 0;
  Code code = Code::BadArguments;
  std::string_view message = {};
  std::string_view account = {};          // empty: left out
  std::string_view client_order_id = {};  // empty: left out
};

/// Takes the events of a command in order. Each default does nothing.
class EventSink {
 public:
  EventSink() = default;
  EventSink(const EventSink&) = delete;
  EventSink& operator=(const EventSink&) = delete;
  virtual ~EventSink() = default;

  virtual void market(const MarketEvent&) {}
  virtual void book(const BookEvent&) {}
  virtual void order_update(const OrderUpdateEvent&) {}
  virtual void fill(const FillEvent&) {}
  virtual void transfer(const TransferEvent&) {}
  virtual void order_state(const OrderStateEvent&) {}
  virtual void account(const AccountEvent&) {}
  virtual void limits(const LimitsEvent&) {}
  virtual void hash(const HashEvent&) {}
  virtual void stats(const StatsEvent&) {}
  virtual void pong(const PongEvent&) {}
  virtual void error(const ErrorEvent&) {}
};

}  // namespace veloz
