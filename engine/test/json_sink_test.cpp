#include "json_sink.hpp"

#include <array>

#include "test.hpp"

using namespace veloz;

namespace {

template <class Write>
std::string written(Write write, std::optional<std::int64_t> req = std::nullopt) {
  std::string out;
  JsonSink sink(out);
  sink.set_req(req);
  write(sink);
  return out;
}

}  // namespace

TEST("ready names version and protocol") {
  CHECK_EQ(written([](JsonSink& sink) { sink.ready(); }),
           "{\"type\":\"ready\",\"version\":\"" VELOZ_VERSION "\",\"protocol\":1}\n");
}

TEST("an event repeats the correlation number as its second key") {
  CHECK_EQ(written([](JsonSink& sink) { sink.done(); }, 12), "{\"type\":\"done\",\"req\":12}\n");
  CHECK_EQ(written([](JsonSink& sink) { sink.pong({5, "x"}); }, 12),
           "{\"type\":\"pong\",\"req\":12,\"ts_ns\":5,\"token\":\"x\"}\n");
  CHECK_EQ(written([](JsonSink& sink) { sink.pong({5, ""}); }), "{\"type\":\"pong\",\"ts_ns\":5}\n");
}

TEST("a market event leaves out what is not known") {
  CHECK_EQ(
      written([](JsonSink& sink) { sink.market({"X", 1, PriceQty{kOne, 2 * kOne}, {}, PriceQty{3, 4}}); }),
      "{\"type\":\"market\",\"symbol\":\"X\",\"ts_ns\":1,\"price\":1,\"qty\":2,\"ask\":0.00000003,"
      "\"ask_qty\":0.00000004}\n");
  CHECK_EQ(written([](JsonSink& sink) { sink.market({"X", 1, {}, {}, {}}); }),
           "{\"type\":\"market\",\"symbol\":\"X\",\"ts_ns\":1}\n");
}

TEST("a book event names the ids of a gap") {
  CHECK_EQ(written([](JsonSink& sink) { sink.book({"X", 1, BookStatus::Gap, 5, 9}); }),
           "{\"type\":\"book\",\"symbol\":\"X\",\"ts_ns\":1,\"status\":\"GAP\",\"expected\":5,\"got\":9}\n");
}

TEST("an order update has its keys in the documented order") {
  OrderUpdateEvent event;
  event.account = "main";
  event.ts = 7;
  event.client_order_id = "id";
  event.symbol = "X";
  event.qty = kOne;
  event.type = OrderType::StopLimit;
  event.tif = TimeInForce::Gtd;
  event.price = 2 * kOne;
  event.stop = 3 * kOne;
  event.expire = 99;
  event.triggered = true;
  event.rank = 4;
  event.reason = "TRIGGERED";
  CHECK_EQ(written([&](JsonSink& sink) { sink.order_update(event); }),
           "{\"type\":\"order_update\",\"account\":\"main\",\"ts_ns\":7,\"client_order_id\":\"id\","
           "\"status\":\"ACCEPTED\",\"symbol\":\"X\",\"side\":\"BUY\",\"qty\":1,\"price\":2,"
           "\"order_type\":\"STOP_LIMIT\",\"tif\":\"GTD\",\"stop_price\":3,\"expire_ts_ns\":99,"
           "\"stp\":\"CANCEL_NEWEST\",\"triggered\":true,\"rank\":4,\"reason\":\"TRIGGERED\"}\n");
}

TEST("an order state shows its average price and an empty reason") {
  OrderStateEvent event;
  event.account = "main";
  event.client_order_id = "id";
  event.symbol = "X";
  event.side = Side::Sell;
  event.qty = 4 * kOne;
  event.price = kOne;
  event.status = Status::PartiallyFilled;
  event.executed_qty = 3 * kOne;
  event.executed_notional = 10 * kOne;
  event.rank = 1;
  event.created = 2;
  event.last = 3;
  CHECK_EQ(written([&](JsonSink& sink) { sink.order_state(event); }),
           "{\"type\":\"order_state\",\"account\":\"main\",\"client_order_id\":\"id\",\"symbol\":\"X\","
           "\"side\":\"SELL\",\"order_qty\":4,\"limit_price\":1,\"venue_order_id\":null,"
           "\"status\":\"PARTIALLY_FILLED\",\"reason\":\"\",\"executed_qty\":3,\"executed_notional\":10,"
           "\"avg_price\":3.33333333,\"order_type\":\"LIMIT\",\"tif\":\"GTC\",\"stp\":\"CANCEL_NEWEST\","
           "\"triggered\":false,\"rank\":1,\"created_ts_ns\":2,\"last_ts_ns\":3}\n");
}

TEST("a fill and a transfer have their keys in the documented order") {
  CHECK_EQ(written([](JsonSink& sink) {
             sink.fill({"a", 1, "id", "X", Side::Sell, kOne, 2 * kOne, 3, "USDT", Liquidity::Taker, 9});
           }),
           "{\"type\":\"fill\",\"account\":\"a\",\"ts_ns\":1,\"client_order_id\":\"id\",\"symbol\":\"X\","
           "\"side\":\"SELL\",\"qty\":1,\"price\":2,\"fee\":0.00000003,\"fee_asset\":\"USDT\","
           "\"liquidity\":\"taker\",\"trade_id\":9}\n");
  CHECK_EQ(written([](JsonSink& sink) { sink.transfer({"a", 1, "USDT", -kOne, ""}); }),
           "{\"type\":\"transfer\",\"account\":\"a\",\"ts_ns\":1,\"asset\":\"USDT\",\"amount\":-1,\"ref\":"
           "\"\"}\n");
}

TEST("an account lists its balances and positions") {
  const std::array balances{BalanceRow{"BTC", 1, 2}, BalanceRow{"USDT", 3, 0}};
  const std::array positions{PositionRow{"X", -kOne, -5 * kOne, 0, 9, -1}};
  CHECK_EQ(written([&](JsonSink& sink) { sink.account({"a", 1, balances, positions}); }),
           "{\"type\":\"account\",\"account\":\"a\",\"ts_ns\":1,\"balances\":[{\"asset\":\"BTC\",\"free\":0."
           "00000001,"
           "\"locked\":0.00000002},{\"asset\":\"USDT\",\"free\":0.00000003,\"locked\":0}],\"positions\":[{"
           "\"symbol\":\"X\",\"qty\":-1,\"cost\":-5,\"avg_price\":5,\"realised\":0,\"day\":9,"
           "\"day_realised\":-0.00000001}]}\n");
  CHECK_EQ(written([&](JsonSink& sink) { sink.account({"a", 1, {}, {}}); }),
           "{\"type\":\"account\",\"account\":\"a\",\"ts_ns\":1,\"balances\":[],\"positions\":[]}\n");
}

TEST("whatever a message quotes is escaped") {
  CHECK_EQ(written([](JsonSink& sink) { sink.error({1, Code::BadToken, "a\"b\\c\x01\xff", "", "id"}); }),
           "{\"type\":\"error\",\"ts_ns\":1,\"code\":\"BAD_TOKEN\",\"message\":\"a\\\"b\\\\c\\u0001\\u00ff\","
           "\"client_order_id\":\"id\"}\n");
}
