#include "protocol.hpp"
#include "test.hpp"

using namespace veloz;
using veloz::test::contains;
using veloz::test::Protocol;

namespace {

constexpr std::string_view kSymbol = "SYMBOL X base=B quote=Q tick=1 lot=1 ts=1";
const std::string kOrder =
    "RESTORE ORDER BUY X 5 10 a LIMIT GTC rank=3 executed=1 notional=10 status=PARTIALLY_FILLED created=1 "
    "last=2 acct=r";

/// Begins a restore of account r, that is worth 100 Q.
void begin(Protocol& protocol) {
  protocol(kSymbol);
  CHECK(protocol("RESTORE BEGIN r trades=7 ts=5").empty());
  CHECK(protocol("RESTORE BALANCE Q 100 acct=r ts=5").empty());
}

std::string hash_in(std::string_view event) {
  const std::size_t at = event.find("\"hash\":\"");
  return at == std::string_view::npos ? "" : std::string(event.substr(at + 8, 64));
}

}  // namespace

TEST("an account rebuilt from its state has the same hash and goes on alike") {
  Protocol lived;
  Protocol rebuilt;
  lived(kSymbol);
  lived("ACCOUNT r ts=2");
  lived("DEPOSIT Q 1000 acct=r ts=2");
  lived("ORDER BUY X 5 10 a acct=r ts=3");
  lived("ORDER BUY X 2 0 s STOP stop=20 acct=r ts=4");
  lived("TRADE X 10 1 ts=5");
  rebuilt(kSymbol);
  rebuilt("RESTORE BEGIN r trades=1 ts=6");
  rebuilt("RESTORE BALANCE Q 990 acct=r ts=6");
  rebuilt("RESTORE BALANCE B 1 acct=r ts=6");
  rebuilt("RESTORE POSITION X 1 10 0 0 0 acct=r ts=6");
  rebuilt(
      "RESTORE ORDER BUY X 2 0 s STOP GTC rank=2 executed=0 notional=0 status=ACCEPTED created=4 last=4 "
      "stop=20 "
      "acct=r ts=6");
  rebuilt(
      "RESTORE ORDER BUY X 5 10 a LIMIT GTC rank=1 executed=1 notional=10 status=PARTIALLY_FILLED created=3 "
      "last=5 "
      "acct=r ts=6");
  const std::string end = rebuilt.one("RESTORE END r ts=6");
  CHECK_EQ(hash_in(end), hash_in(lived.one("HASH r ts=6")));
  CHECK(contains(end, "\"open_orders\":2"));
  CHECK_EQ(rebuilt.one("STATE r ts=6"), lived.one("STATE r ts=6"));
  for (const char* next :
       {"TRADE X 10 2 ts=7", "ORDER SELL X 1 30 n acct=r ts=8", "CANCEL_ALL acct=r ts=9"}) {
    const std::string expected = lived.one(next);
    CHECK(!expected.empty());
    CHECK_EQ(rebuilt.one(next), expected);
  }
}

TEST("an account being restored takes no other command") {
  Protocol protocol;
  begin(protocol);
  for (const char* line :
       {"ORDER BUY X 1 1 i acct=r", "CANCEL i acct=r", "AMEND i qty=1 acct=r", "CANCEL_ALL acct=r",
        "DEPOSIT Q 1 acct=r", "LIMITS acct=r", "HASH r", "STATE r", "ACCOUNT r", "RESTORE BEGIN r"}) {
    CHECK_EQ(protocol.refusal(line), "RESTORING");
  }
}

TEST("prints, quotes and the clock do not reach an account being restored") {
  Protocol protocol;
  begin(protocol);
  protocol(
      "RESTORE ORDER BUY X 5 10 g LIMIT GTD expire=50 rank=1 executed=0 notional=0 status=ACCEPTED created=1 "
      "last=1 "
      "acct=r ts=5");
  CHECK(contains(protocol.one("TRADE X 9 1 ts=60"), "{\"type\":\"market\""));
  CHECK(!contains(protocol.one("QUOTE X 1 1 5 5 ts=61"), "fill"));
  CHECK(protocol("CANCEL_ALL acct=* ts=61").empty());
  CHECK(contains(protocol.one("RESTORE END r ts=62"), "\"hash\""));
  CHECK(contains(protocol.one("CLOCK 62"), "\"reason\":\"GTD_EXPIRED\""));
}

TEST("a resting order the book crossed meanwhile is filled by the next market event") {
  Protocol protocol;
  begin(protocol);
  protocol("QUOTE X 1 1 9 2 ts=5");
  protocol(kOrder + " ts=5");
  CHECK(!contains(protocol.one("RESTORE END r ts=5"), "fill"));
  CHECK(contains(protocol.one("QUOTE X 1 1 9 2 ts=6"), "\"qty\":2,\"price\":10,"));
}

TEST("the next rank and trade follow the greatest restored") {
  Protocol protocol;
  begin(protocol);
  protocol(kOrder + " ts=5");
  protocol("RESTORE END r ts=5");
  CHECK(contains(protocol.one("ORDER BUY X 1 2 n acct=r ts=6"), "\"rank\":4"));
  CHECK(contains(protocol.one("TRADE X 9 1 ts=7"), "\"trade_id\":8"));
}

TEST("a state that could not be is refused at the end and forgotten") {
  const std::string tail = " created=1 last=2 acct=r ts=5";
  const std::vector<std::string> impossible{
      "RESTORE ORDER BUY X 11 10 a LIMIT GTC rank=1 executed=0 notional=0 status=ACCEPTED" + tail,
      "RESTORE ORDER SELL X 1 10 a LIMIT GTC rank=1 executed=0 notional=0 status=ACCEPTED" + tail,
      "RESTORE ORDER BUY X 5 10 a LIMIT GTC rank=1 executed=5 notional=50 status=PARTIALLY_FILLED" + tail,
      "RESTORE ORDER BUY X 5 10 a LIMIT GTC rank=1 executed=1 notional=10 status=ACCEPTED" + tail,
      "RESTORE ORDER BUY X 5 10 a LIMIT GTC rank=1 executed=0 notional=0 status=PARTIALLY_FILLED" + tail,
      "RESTORE ORDER BUY X 5 10 a LIMIT GTC triggered=1 rank=1 executed=0 notional=0 status=ACCEPTED" + tail,
      "RESTORE ORDER BUY X 5 0 a STOP GTC stop=9 triggered=1 rank=1 executed=0 notional=0 status=ACCEPTED" +
          tail,
      "RESTORE ORDER BUY X 5 9 a STOP_LIMIT GTC stop=9 rank=1 executed=1 notional=9 status=PARTIALLY_FILLED" +
          tail,
  };
  for (const std::string& order : impossible) {
    Protocol protocol;
    begin(protocol);
    CHECK(protocol(order).empty());
    CHECK_EQ(protocol.refusal("RESTORE END r ts=5"), "BAD_STATE");
    CHECK_EQ(protocol.refusal("HASH r"), "UNKNOWN_ACCOUNT");
  }
}

TEST("ranks must not repeat") {
  Protocol protocol;
  begin(protocol);
  protocol(
      "RESTORE ORDER BUY X 1 1 a LIMIT GTC rank=1 executed=0 notional=0 status=ACCEPTED created=1 last=1 "
      "acct=r");
  protocol(
      "RESTORE ORDER BUY X 1 1 b LIMIT GTC rank=1 executed=0 notional=0 status=ACCEPTED created=1 last=1 "
      "acct=r");
  CHECK_EQ(protocol.refusal("RESTORE END r"), "BAD_STATE");
}

TEST("a restore line is refused by itself and the restore goes on") {
  Protocol protocol;
  begin(protocol);
  CHECK(protocol(kOrder).empty());
  CHECK_EQ(protocol.refusal(kOrder), "DUPLICATE_ORDER");
  CHECK_EQ(protocol.refusal("RESTORE POSITION GHOST 1 1 1 1 1 acct=r"), "UNKNOWN_SYMBOL");
  CHECK_EQ(
      protocol.refusal("RESTORE ORDER BUY X 5 10 b LIMIT IOC rank=4 executed=0 notional=0 status=ACCEPTED "
                       "created=1 last=2 acct=r"),
      "BAD_TIF");
  CHECK_EQ(
      protocol.refusal("RESTORE ORDER BUY X 5 0 b LIMIT GTC rank=4 executed=0 notional=0 status=ACCEPTED "
                       "created=1 last=2 acct=r"),
      "BAD_ARGUMENTS");
  CHECK(contains(protocol.one("RESTORE END r"), "\"open_orders\":1"));
}

TEST("restore lines outside a restore are refused") {
  Protocol protocol;
  protocol(kSymbol);
  protocol("ACCOUNT live");
  CHECK_EQ(protocol.refusal("RESTORE BALANCE Q 1 acct=live"), "BAD_STATE");
  CHECK_EQ(protocol.refusal("RESTORE END live"), "BAD_STATE");
  CHECK_EQ(protocol.refusal("RESTORE BALANCE Q 1 acct=nobody"), "UNKNOWN_ACCOUNT");
  CHECK_EQ(protocol.refusal("RESTORE BEGIN live"), "ACCOUNT_EXISTS");
}

TEST("a restore can be given up") {
  Protocol protocol;
  begin(protocol);
  protocol(kOrder);
  CHECK(protocol("FORGET r").empty());
  CHECK_EQ(protocol.refusal("RESTORE END r"), "UNKNOWN_ACCOUNT");
  CHECK(protocol("RESTORE BEGIN r").empty());
  CHECK(contains(protocol.one("RESTORE END r"), "\"open_orders\":0"));
}

TEST("of a balance given twice the later counts") {
  Protocol protocol;
  begin(protocol);
  protocol("RESTORE BALANCE Q 0 acct=r");
  Protocol empty;
  empty(kSymbol);
  empty("RESTORE BEGIN r trades=7");
  CHECK_EQ(hash_in(protocol.one("RESTORE END r ts=9")), hash_in(empty.one("RESTORE END r ts=9")));
}
