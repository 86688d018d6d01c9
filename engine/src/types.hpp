#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace veloz {

enum class Side : std::uint8_t { Buy, Sell };
enum class OrderType : std::uint8_t { Limit, Market, Stop, StopLimit };
enum class TimeInForce : std::uint8_t { Gtc, Ioc, Fok, Gtx, Gtd };
enum class SelfTrade : std::uint8_t { CancelNewest, None };
enum class Status : std::uint8_t { Accepted, PartiallyFilled, Filled, Cancelled, Rejected, Expired };
enum class Liquidity : std::uint8_t { Maker, Taker };
enum class BookStatus : std::uint8_t { Synced, Gap, Crossed };

/// Error codes of section 9 and the reasons of the risk checks, under one roof: AMEND answers
/// a failed risk check with the reason as its error code.
enum class Code : std::uint8_t {
  BadReq,
  BadByte,
  LineTooLong,
  UnknownCommand,
  BadArguments,
  BadOption,
  BadToken,
  BadNumber,
  BadSide,
  BadType,
  BadTif,
  BadExpire,
  BadAmend,
  UnknownSymbol,
  SymbolExists,
  UnknownAccount,
  AccountExists,
  Restoring,
  BadState,
  DuplicateOrder,
  NotFound,
  InsufficientFunds,
  Overflow,
  BookIsDepth,
  KillSwitch,
  BadTick,
  BadLot,
  MaxOrderQty,
  MinNotional,
  MaxNotional,
  PriceBand,
  MaxOpenOrders,
  PositionLimit,
  DailyLoss,
  OrderRate,
  PostOnlyWouldTake,
  SelfTrade,
};

std::string_view name(Side side);
std::string_view name(OrderType type);
std::string_view name(TimeInForce tif);
std::string_view name(SelfTrade stp);
std::string_view name(Status status);
std::string_view name(Liquidity liquidity);
std::string_view name(BookStatus status);
std::string_view name(Code code);

/// These read any case.
std::optional<Side> side_from(std::string_view text);
std::optional<OrderType> order_type_from(std::string_view text);
std::optional<TimeInForce> time_in_force_from(std::string_view text);
/// These read the exact spelling.
std::optional<SelfTrade> self_trade_from(std::string_view text);
std::optional<Status> status_from(std::string_view text);

/// Compares ASCII without regard to case; `upper` is in upper case.
bool same_word(std::string_view text, std::string_view upper);

constexpr Side opposite(Side side) {
  return side == Side::Buy ? Side::Sell : Side::Buy;
}
constexpr std::size_t index(Side side) {
  return static_cast<std::size_t>(side);
}
constexpr bool is_stop(OrderType type) {
  return type == OrderType::Stop || type == OrderType::StopLimit;
}

}  // namespace veloz
