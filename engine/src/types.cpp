#include "types.hpp"

#include <algorithm>

namespace veloz {
namespace {

constexpr std::array<std::string_view, 2> kSides{"BUY", "SELL"};
constexpr std::array<std::string_view, 4> kTypes{"LIMIT", "MARKET", "STOP", "STOP_LIMIT"};
constexpr std::array<std::string_view, 5> kTifs{"GTC", "IOC", "FOK", "GTX", "GTD"};
constexpr std::array<std::string_view, 2> kSelfTrades{"CANCEL_NEWEST", "NONE"};
constexpr std::array<std::string_view, 6> kStatuses{"ACCEPTED",  "PARTIALLY_FILLED", "FILLED",
                                                    "CANCELLED", "REJECTED",         "EXPIRED"};
constexpr std::array<std::string_view, 2> kLiquidities{"maker", "taker"};
constexpr std::array<std::string_view, 3> kBookStatuses{"SYNCED", "GAP", "CROSSED"};
constexpr std::array<std::string_view, 37> kCodes{
    "BAD_REQ",        "BAD_BYTE",           "LINE_TOO_LONG", "UNKNOWN_COMMAND",
    "BAD_ARGUMENTS",  "BAD_OPTION",         "BAD_TOKEN",     "BAD_NUMBER",
    "BAD_SIDE",       "BAD_TYPE",           "BAD_TIF",       "BAD_EXPIRE",
    "BAD_AMEND",      "UNKNOWN_SYMBOL",     "SYMBOL_EXISTS", "UNKNOWN_ACCOUNT",
    "ACCOUNT_EXISTS", "RESTORING",          "BAD_STATE",     "DUPLICATE_ORDER",
    "NOT_FOUND",      "INSUFFICIENT_FUNDS", "OVERFLOW",      "BOOK_IS_DEPTH",
    "KILL_SWITCH",    "BAD_TICK",           "BAD_LOT",       "MAX_ORDER_QTY",
    "MIN_NOTIONAL",   "MAX_NOTIONAL",       "PRICE_BAND",    "MAX_OPEN_ORDERS",
    "POSITION_LIMIT", "DAILY_LOSS",         "ORDER_RATE",    "POST_ONLY_WOULD_TAKE",
    "SELF_TRADE",
};
static_assert(kCodes.size() == static_cast<std::size_t>(Code::SelfTrade) + 1);

template <class Enum, std::size_t N>
std::string_view at(const std::array<std::string_view, N>& names, Enum value) {
  return names[static_cast<std::size_t>(value)];
}

template <class Enum, std::size_t N, class Same>
std::optional<Enum> find(const std::array<std::string_view, N>& names, std::string_view text, Same same) {
  for (std::size_t i = 0; i < N; ++i) {
    if (same(text, names[i])) {
      return static_cast<Enum>(i);
    }
  }
  return std::nullopt;
}

constexpr auto exactly = [](std::string_view a, std::string_view b) { return a == b; };

}  // namespace

std::string_view name(Side side) {
  return at(kSides, side);
}
std::string_view name(OrderType type) {
  return at(kTypes, type);
}
std::string_view name(TimeInForce tif) {
  return at(kTifs, tif);
}
std::string_view name(SelfTrade stp) {
  return at(kSelfTrades, stp);
}
std::string_view name(Status status) {
  return at(kStatuses, status);
}
std::string_view name(Liquidity liquidity) {
  return at(kLiquidities, liquidity);
}
std::string_view name(BookStatus status) {
  return at(kBookStatuses, status);
}
std::string_view name(Code code) {
  return at(kCodes, code);
}

bool same_word(std::string_view text, std::string_view upper) {
  return std::ranges::equal(text, upper, [](char t, char u) {
    return (t >= 'a' && t <= 'z' ? static_cast<char>(t - 'a' + 'A') : t) == u;
  });
}

std::optional<Side> side_from(std::string_view text) {
  return find<Side>(kSides, text, same_word);
}
std::optional<OrderType> order_type_from(std::string_view text) {
  return find<OrderType>(kTypes, text, same_word);
}
std::optional<TimeInForce> time_in_force_from(std::string_view text) {
  return find<TimeInForce>(kTifs, text, same_word);
}
std::optional<SelfTrade> self_trade_from(std::string_view text) {
  return find<SelfTrade>(kSelfTrades, text, exactly);
}
std::optional<Status> status_from(std::string_view text) {
  return find<Status>(kStatuses, text, exactly);
}

}  // namespace veloz
