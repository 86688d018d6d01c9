#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>

#include "decimal.hpp"
#include "types.hpp"

/// The commands of docs/engine_protocol.md as types. Text fields are views that live as long as the
/// call that takes the command; they must be tokens, and amounts named positive must be positive:
/// the parser has checked both. 0 stands for "none" in optional amounts and times.
namespace veloz {

inline constexpr std::string_view kMainAccount = "main";
inline constexpr std::string_view kEveryAccount = "*";

struct DefineSymbol {
  std::string_view symbol = {};
  std::string_view base = {};
  std::string_view quote = {};
  Units tick = 0;  // positive
  Units lot = 0;   // positive
  Units min_qty = 0;
  Units max_qty = 0;
  Units min_notional = 0;
};

struct OpenAccount {
  std::string_view account = {};
};

/// DEPOSIT (amount > 0) and WITHDRAW (amount < 0).
struct TransferFunds {
  std::string_view account = kMainAccount;
  std::string_view asset = {};
  Units amount = 0;
  std::string_view ref = {};
};

/// Only the fields that are set change. Account "*" takes only `kill`.
struct SetLimits {
  std::string_view account = kMainAccount;
  std::optional<Units> maker_fee_bps = {};
  std::optional<Units> taker_fee_bps = {};
  std::optional<Units> max_order_qty = {};
  std::optional<Units> max_notional = {};
  std::optional<Units> price_band_bps = {};
  std::optional<std::int64_t> max_open_orders = {};
  std::optional<Units> max_position = {};
  std::optional<std::int64_t> order_rate = {};
  std::optional<Units> daily_loss = {};
  std::optional<bool> kill = {};
};

struct HashAccount {
  std::string_view account = {};
};

struct ShowState {
  std::string_view account = {};
};

struct ForgetAccount {
  std::string_view account = {};
};

struct ShowStats {};

struct Ping {
  std::string_view token = {};
};

struct Quit {};

/// CLOCK: nothing but the time that every command brings.
struct Tick {};

struct NewOrder {
  std::string_view account = kMainAccount;
  Side side = Side::Buy;
  std::string_view symbol = {};
  Units qty = 0;    // positive
  Units price = 0;  // 0 for MARKET and STOP
  std::string_view client_order_id = {};
  OrderType type = OrderType::Limit;
  TimeInForce tif = TimeInForce::Gtc;
  Units stop = 0;    // the two stops only
  Nanos expire = 0;  // GTD only
  SelfTrade stp = SelfTrade::CancelNewest;
};

/// An empty symbol is any.
struct CancelOrder {
  std::string_view account = kMainAccount;
  std::string_view client_order_id = {};
  std::string_view symbol = {};
  std::string_view reason = "USER";
};

/// Account "*" is every account; an empty symbol every symbol.
struct CancelAll {
  std::string_view account = kMainAccount;
  std::string_view symbol = {};
  std::string_view reason = "USER";
};

/// At least one of the three; each is positive.
struct AmendOrder {
  std::string_view account = kMainAccount;
  std::string_view client_order_id = {};
  std::optional<Units> qty = {};
  std::optional<Units> price = {};
  std::optional<Units> stop = {};
};

struct Print {
  std::string_view symbol = {};
  Units price = 0;
  Units qty = 0;
  std::optional<Nanos> event_ts = {};
};

/// A side is absent when its price and quantity are both 0.
struct Quote {
  std::string_view symbol = {};
  Units bid = 0;
  Units bid_qty = 0;
  Units ask = 0;
  Units ask_qty = 0;
  std::optional<Nanos> event_ts = {};
};

struct PriceQty {
  Units price = 0;
  Units qty = 0;  // 0 removes the level
};

struct DepthSnapshot {
  std::string_view symbol = {};
  std::int64_t last_id = 0;
  std::span<const PriceQty> bids = {};
  std::span<const PriceQty> asks = {};
  std::optional<Nanos> event_ts = {};
};

struct DepthUpdate {
  std::string_view symbol = {};
  std::int64_t first_id = 0;
  std::int64_t last_id = 0;
  std::span<const PriceQty> bids = {};
  std::span<const PriceQty> asks = {};
  std::optional<Nanos> event_ts = {};
};

struct RestoreBegin {
  std::string_view account = {};
  std::int64_t trades = 0;
};

struct RestoreBalance {
  std::string_view account = kMainAccount;
  std::string_view asset = {};
  Units total = 0;
};

struct RestorePosition {
  std::string_view account = kMainAccount;
  std::string_view symbol = {};
  Units qty = 0;
  Units cost = 0;
  Units realised = 0;
  std::int64_t day = 0;
  Units day_realised = 0;
};

struct RestoreOrder {
  NewOrder order;
  std::int64_t rank = 0;  // positive
  Units executed = 0;
  Units executed_notional = 0;
  Status status = Status::Accepted;
  Nanos created = 0;
  Nanos last = 0;
  bool triggered = false;
  std::string_view reason = {};
};

struct RestoreEnd {
  std::string_view account = {};
};

using Command = std::variant<Tick, DefineSymbol, OpenAccount, TransferFunds, SetLimits, HashAccount,
                             ShowState, ForgetAccount, ShowStats, Ping, Quit, NewOrder, CancelOrder,
                             CancelAll, AmendOrder, Print, Quote, DepthSnapshot, DepthUpdate, RestoreBegin,
                             RestoreBalance, RestorePosition, RestoreOrder, RestoreEnd>;

}  // namespace veloz
