#include "parser.hpp"

#include <string>

#include "test.hpp"

using namespace veloz;

namespace {

/// The command a line reads as; the default one, after a failed check, when it does not.
template <class Wanted>
Wanted read(Parser& parser, std::string_view line) {
  const Parsed parsed = parser.parse(line);
  CHECK(!parsed.refusal);
  const bool right = parsed.command && std::holds_alternative<Wanted>(*parsed.command);
  CHECK(right);
  return right ? std::get<Wanted>(*parsed.command) : Wanted{};
}

std::string refusal(std::string_view line) {
  Parser parser;
  const Parsed parsed = parser.parse(line);
  CHECK(!(parsed.command && parsed.refusal));
  return parsed.refusal ? std::string(name(parsed.refusal->code)) : "";
}

}  // namespace

TEST("an order is read with its defaults") {
  Parser parser;
  const auto order = read<NewOrder>(parser, "ORDER BUY BTCUSDT 0.5 39000 my-first-order");
  CHECK(order.side == Side::Buy);
  CHECK_EQ(order.symbol, "BTCUSDT");
  CHECK_EQ(order.qty, kOne / 2);
  CHECK_EQ(order.price, 39'000 * kOne);
  CHECK_EQ(order.client_order_id, "my-first-order");
  CHECK(order.type == OrderType::Limit);
  CHECK(order.tif == TimeInForce::Gtc);
  CHECK(order.stp == SelfTrade::CancelNewest);
  CHECK_EQ(order.account, "main");
}

TEST("an order is read with everything") {
  Parser parser;
  const auto order = read<NewOrder>(
      parser, "order sell X/Y 1 2 id stop_limit gtd expire=77 stop=3 stp=NONE acct=other ts=5");
  CHECK(order.side == Side::Sell);
  CHECK(order.type == OrderType::StopLimit);
  CHECK(order.tif == TimeInForce::Gtd);
  CHECK_EQ(order.stop, 3 * kOne);
  CHECK_EQ(order.expire, 77);
  CHECK(order.stp == SelfTrade::None);
  CHECK_EQ(order.account, "other");
}

TEST("a market order is immediate or cancel unless it says otherwise") {
  Parser parser;
  CHECK(read<NewOrder>(parser, "ORDER BUY X 1 0 i MARKET").tif == TimeInForce::Ioc);
  CHECK(read<NewOrder>(parser, "ORDER BUY X 1 0 i MARKET FOK").tif == TimeInForce::Fok);
}

TEST("the correlation number and the time are read off any command") {
  Parser parser;
  const Parsed parsed = parser.parse("  @9223372036854775807   PING    hello   ts=12 ");
  CHECK(parsed.req == std::int64_t{9223372036854775807});
  CHECK(parsed.ts == std::int64_t{12});
  CHECK_EQ(std::get<Ping>(parsed.command.value()).token, "hello");
}

TEST("the number of CLOCK is its time") {
  Parser parser;
  CHECK(parser.parse("CLOCK 99").ts == std::int64_t{99});
  CHECK(parser.parse("CLOCK 99 ts=100").ts == std::int64_t{100});
  CHECK_EQ(refusal("CLOCK"), "BAD_ARGUMENTS");
  CHECK_EQ(refusal("CLOCK -1"), "BAD_NUMBER");
}

TEST("empty lines and comments are ignored") {
  for (const char* line : {"", " ", "     ", "#", "# ORDER", "#\"~"}) {
    Parser parser;
    const Parsed parsed = parser.parse(line);
    CHECK(!parsed.command && !parsed.refusal);
  }
}

TEST("a byte outside printable ASCII is refused anywhere, without a number") {
  for (int byte = 0; byte < 256; ++byte) {
    if (byte >= 0x20 && byte <= 0x7e) {
      continue;
    }
    Parser parser;
    for (const char* start : {"@5 PING x", "# comment "}) {
      const Parsed parsed = parser.parse(std::string(start) + static_cast<char>(byte));
      CHECK(parsed.refusal && parsed.refusal->code == Code::BadByte);
      CHECK(!parsed.req);
    }
  }
}

TEST("a malformed correlation number is refused and not repeated") {
  for (const char* line : {"@ PING", "@0 PING", "@-1 PING", "@x PING", "@1.0 PING",
                           "@9223372036854775808 PING", "@@1 PING", "@"}) {
    Parser parser;
    const Parsed parsed = parser.parse(line);
    CHECK(parsed.refusal && parsed.refusal->code == Code::BadReq);
    CHECK(!parsed.req);
  }
}

TEST("a refused line keeps its correlation number") {
  Parser parser;
  const Parsed parsed = parser.parse("@3 NONSENSE");
  CHECK(parsed.refusal && parsed.refusal->code == Code::UnknownCommand);
  CHECK(parsed.req == std::int64_t{3});
}

TEST("each defect of a line has its code") {
  CHECK_EQ(refusal("@3"), "UNKNOWN_COMMAND");
  CHECK_EQ(refusal("ORDERS BUY X 1 1 i"), "UNKNOWN_COMMAND");
  CHECK_EQ(refusal("ORDER BUY X 1 1"), "BAD_ARGUMENTS");
  CHECK_EQ(refusal("ORDER BUY X 1 1 i LIMIT GTC more"), "BAD_ARGUMENTS");
  CHECK_EQ(refusal("ORDER HOLD X 1 1 i"), "BAD_SIDE");
  CHECK_EQ(refusal("ORDER BUY X 1 1 i PEGGED"), "BAD_TYPE");
  CHECK_EQ(refusal("ORDER BUY X 1 1 i LIMIT DAY"), "BAD_TIF");
  CHECK_EQ(refusal("ORDER BUY X! 1 1 i"), "BAD_TOKEN");
  CHECK_EQ(refusal("ORDER BUY X 1 1 " + std::string(65, 'i')), "BAD_TOKEN");
  CHECK_EQ(refusal("ORDER BUY X 0 1 i"), "BAD_NUMBER");
  CHECK_EQ(refusal("ORDER BUY X -1 1 i"), "BAD_NUMBER");
  CHECK_EQ(refusal("ORDER BUY X NaN 1 i"), "BAD_NUMBER");
  CHECK_EQ(refusal("ORDER BUY X 1e3 1 i"), "BAD_NUMBER");
  CHECK_EQ(refusal("ORDER BUY X 1 1 i stop=0"), "BAD_NUMBER");
  CHECK_EQ(refusal("ORDER BUY X 1 1 i expire=1.5"), "BAD_NUMBER");
  CHECK_EQ(refusal("ORDER BUY X 1 1 i ts=x"), "BAD_NUMBER");
  CHECK_EQ(refusal("ORDER BUY X 1 1 i stp=none"), "BAD_OPTION");
  CHECK_EQ(refusal("ORDER BUY X 1 1 i speed=fast"), "BAD_OPTION");
  CHECK_EQ(refusal("ORDER BUY X 1 1 i stp=NONE stp=NONE"), "BAD_OPTION");
  CHECK_EQ(refusal("ORDER BUY X 1 1 i stp=NONE LIMIT"), "BAD_OPTION");
  CHECK_EQ(refusal("ORDER BUY X 1 1 i =3"), "BAD_OPTION");
  CHECK_EQ(refusal("ORDER BUY X 1 1 i acct=*"), "BAD_TOKEN");
  CHECK_EQ(refusal("ORDER BUY X 1 1 i acct="), "BAD_TOKEN");
}

TEST("words are counted before options, and options named before values are read") {
  CHECK_EQ(refusal("ORDER HOLD X! 1 bad=1"), "BAD_ARGUMENTS");
  CHECK_EQ(refusal("ORDER HOLD X! 0 1 i bad=1"), "BAD_OPTION");
  CHECK_EQ(refusal("ORDER HOLD X! 0 1 i"), "BAD_SIDE");
}

TEST("a symbol needs its assets, tick and lot") {
  Parser parser;
  const auto symbol = read<DefineSymbol>(parser, "SYMBOL B base=BTC quote=USDT tick=0.01 lot=1 max_qty=5");
  CHECK_EQ(symbol.base, "BTC");
  CHECK_EQ(symbol.tick, kOne / 100);
  CHECK_EQ(symbol.max_qty, 5 * kOne);
  CHECK_EQ(symbol.min_qty, 0);
  CHECK_EQ(refusal("SYMBOL B base=BTC quote=USDT tick=0.01"), "BAD_ARGUMENTS");
  CHECK_EQ(refusal("SYMBOL B base=BTC quote=USDT tick=0 lot=1"), "BAD_NUMBER");
}

TEST("a withdrawal is a transfer out") {
  Parser parser;
  CHECK_EQ(read<TransferFunds>(parser, "WITHDRAW USDT 5 acct=a ref=r").amount, -5 * kOne);
  CHECK_EQ(read<TransferFunds>(parser, "DEPOSIT USDT 5").ref, "");
  CHECK_EQ(refusal("DEPOSIT USDT 0"), "BAD_NUMBER");
}

TEST("limits change only what they name") {
  Parser parser;
  const auto limits = read<SetLimits>(parser, "LIMITS acct=a maker_fee_bps=7.5 order_rate=10 kill=1");
  CHECK(limits.maker_fee_bps == 7 * kOne + kOne / 2);
  CHECK(limits.order_rate == std::int64_t{10});
  CHECK(limits.kill == true);
  CHECK(!limits.max_notional);
  CHECK_EQ(refusal("LIMITS taker_fee_bps=10000.00000001"), "BAD_NUMBER");
  CHECK_EQ(refusal("LIMITS order_rate=1.5"), "BAD_NUMBER");
  CHECK_EQ(refusal("LIMITS kill=2"), "BAD_OPTION");
}

TEST("the limits of all accounts are the kill switch alone") {
  Parser parser;
  CHECK_EQ(read<SetLimits>(parser, "LIMITS kill=0 acct=*").account, "*");
  CHECK_EQ(refusal("LIMITS acct=* order_rate=1"), "BAD_OPTION");
}

TEST("an amendment names at least one thing") {
  Parser parser;
  CHECK(read<AmendOrder>(parser, "AMEND id price=2").price == 2 * kOne);
  CHECK_EQ(refusal("AMEND id"), "BAD_ARGUMENTS");
  CHECK_EQ(refusal("AMEND id qty=0"), "BAD_NUMBER");
}

TEST("a quote's side is whole or absent") {
  Parser parser;
  CHECK_EQ(read<Quote>(parser, "QUOTE X 0 0 5 6").ask_qty, 6 * kOne);
  CHECK_EQ(refusal("QUOTE X 1 0 5 6"), "BAD_NUMBER");
  CHECK_EQ(refusal("QUOTE X 1 1 0 6"), "BAD_NUMBER");
}

TEST("depth is read level by level") {
  Parser parser;
  const auto snapshot = read<DepthSnapshot>(parser, "DEPTH X SNAPSHOT 7 1:2,0.5:0 -");
  CHECK_EQ(snapshot.bids.size(), 2U);
  CHECK_EQ(snapshot.bids[1].price, kOne / 2);
  CHECK(snapshot.asks.empty());
  const auto update = read<DepthUpdate>(parser, "depth X update 8 9 - 3:4 event_ts=5");
  CHECK_EQ(update.first_id, 8);
  CHECK_EQ(update.last_id, 9);
  CHECK_EQ(update.asks[0].qty, 4 * kOne);
  CHECK(update.event_ts == std::int64_t{5});
}

TEST("a malformed level is a bad number") {
  for (const char* levels : {"1", "1:", ":1", "1:2,", ",", "1:2:3", "0:1", "--", "1:2,,3:4", "1;2"}) {
    CHECK_EQ(refusal("DEPTH X SNAPSHOT 1 " + std::string(levels) + " -"), "BAD_NUMBER");
  }
  CHECK_EQ(refusal("DEPTH X"), "BAD_ARGUMENTS");
  CHECK_EQ(refusal("DEPTH X REPLACE 1 - -"), "BAD_ARGUMENTS");
  CHECK_EQ(refusal("DEPTH X UPDATE 1 - -"), "BAD_ARGUMENTS");
}

TEST("a restored order brings its whole state") {
  Parser parser;
  const auto row = read<RestoreOrder>(parser,
                                      "RESTORE ORDER BUY X 2 3 id LIMIT GTC rank=4 executed=1 notional=3 "
                                      "status=PARTIALLY_FILLED created=5 last=6 reason=AMENDED acct=a");
  CHECK_EQ(row.order.client_order_id, "id");
  CHECK_EQ(row.rank, 4);
  CHECK_EQ(row.executed, kOne);
  CHECK_EQ(row.last, 6);
  CHECK_EQ(row.reason, "AMENDED");
  CHECK_EQ(row.order.account, "a");
}

TEST("a restored order must be one that can be open") {
  const std::string rest = " rank=4 executed=1 notional=3 status=ACCEPTED created=5 last=6";
  CHECK_EQ(refusal("RESTORE ORDER BUY X 2 0 id MARKET IOC" + rest), "BAD_TYPE");
  CHECK_EQ(refusal("RESTORE ORDER BUY X 2 3 id LIMIT GTC rank=0 executed=1 notional=3 status=ACCEPTED "
                   "created=5 last=6"),
           "BAD_NUMBER");
  CHECK_EQ(
      refusal(
          "RESTORE ORDER BUY X 2 3 id LIMIT GTC rank=1 executed=1 notional=3 status=FILLED created=5 last=6"),
      "BAD_OPTION");
  CHECK_EQ(refusal("RESTORE ORDER BUY X 2 3 id LIMIT GTC rank=1 executed=1 notional=3 created=5 last=6"),
           "BAD_ARGUMENTS");
  CHECK_EQ(refusal("RESTORE ORDER BUY X 2 3 id LIMIT"), "BAD_ARGUMENTS");
  CHECK_EQ(refusal("RESTORE"), "BAD_ARGUMENTS");
  CHECK_EQ(refusal("RESTORE EVERYTHING"), "BAD_ARGUMENTS");
}

TEST("restored positions carry signs") {
  Parser parser;
  const auto row = read<RestorePosition>(parser, "RESTORE POSITION X -1 -2 -3 4 -5 acct=a");
  CHECK_EQ(row.qty, -kOne);
  CHECK_EQ(row.day, 4);
  CHECK_EQ(row.day_realised, -5 * kOne);
}

TEST("a long value is cut in the message") {
  Parser parser;
  const Parsed parsed = parser.parse("PING " + std::string(60'000, '!'));
  CHECK(parsed.refusal && parsed.refusal->message.size() < 200);
}

TEST("a line of words only is refused quickly") {
  std::string line = "PING";
  while (line.size() < 65'000) {
    line += " a=1";
  }
  CHECK_EQ(refusal(line), "BAD_OPTION");
}
