#include "protocol.hpp"
#include "test.hpp"

using namespace veloz;
using veloz::test::contains;
using veloz::test::Protocol;

namespace {

const std::vector<std::string> kOpening{
    "SYMBOL BTCUSDT base=BTC quote=USDT tick=0.01 lot=0.001 ts=1",
    "ACCOUNT main ts=2",
    "DEPOSIT USDT 10000 ts=3",
    "QUOTE BTCUSDT 99 1 101 1 ts=4",
};

void open(Protocol& protocol) {
  for (const std::string& line : kOpening) {
    protocol(line);
  }
}

}  // namespace

TEST("every event of a numbered command repeats the number and the last one is done") {
  Protocol protocol;
  open(protocol);
  const auto lines = protocol("@41 ORDER BUY BTCUSDT 2 101 a ts=5");
  CHECK_EQ(lines.size(), 6U);
  for (const std::string& line : lines) {
    CHECK(contains(line, "\"req\":41"));
  }
  CHECK_EQ(lines.back(), "{\"type\":\"done\",\"req\":41}");
}

TEST("a command without a number ends without done") {
  Protocol protocol;
  CHECK_EQ(protocol.one("PING x ts=1"), "{\"type\":\"pong\",\"ts_ns\":1,\"token\":\"x\"}");
}

TEST("a refused numbered line ends with done too") {
  Protocol protocol;
  const auto lines = protocol("@5 ORDER");
  CHECK_EQ(lines.size(), 2U);
  CHECK_EQ(lines.back(), "{\"type\":\"done\",\"req\":5}");
}

TEST("a number does not stick to the lines after it") {
  Protocol protocol;
  protocol("@5 PING");
  CHECK(!contains(protocol.one("NONSENSE"), "req"));
  protocol("@5 PING");
  CHECK(!contains(protocol.one("@5x PING"), "\"req\""));
}

TEST("events come as updates, order states, accounts, answers, done") {
  Protocol protocol;
  open(protocol);
  protocol("ORDER BUY BTCUSDT 1 98 gtd LIMIT GTD expire=10 ts=5");
  const auto lines = protocol("@1 DEPOSIT USDT 1 ts=10");
  const std::vector<std::string> types{"order_update", "transfer", "order_state", "account", "done"};
  CHECK_EQ(lines.size(), types.size());
  for (std::size_t i = 0; i < std::min(lines.size(), types.size()); ++i) {
    CHECK(lines[i].starts_with("{\"type\":\"" + types[i] + "\""));
  }
}

TEST("a command without ts raises the clock to the system's, and none sets it back") {
  Protocol protocol;
  CHECK(contains(protocol.one("PING ts=5"), "\"ts_ns\":5"));
  CHECK(contains(protocol.one("PING"), "\"ts_ns\":1700000000000000000"));
  CHECK(contains(protocol.one("PING ts=6"), "\"ts_ns\":1700000000000000000"));
  CHECK(contains(protocol.one("PING ts=1800000000000000000"), "\"ts_ns\":1800000000000000000"));
}

TEST("a line that cannot be read leaves the clock alone") {
  Protocol protocol;
  protocol("PING ts=5");
  CHECK(contains(protocol.one("NONSENSE ts=9"), "\"ts_ns\":5"));
  CHECK(contains(protocol.one("PING ts=6"), "\"ts_ns\":6"));
}

TEST("QUIT is answered and ends the session") {
  Protocol protocol;
  CHECK_EQ(protocol.one("@9 quit ts=1"), "{\"type\":\"done\",\"req\":9}");
  CHECK(!protocol.open());
}

TEST("no refused line ends the session") {
  Protocol protocol;
  for (const char* line : {"\x01\x02", "@", "ORDER", "QUIT now", "\xff\xfe", "RESTORE END x"}) {
    CHECK(protocol.refusal(line) != "");
    CHECK(protocol.open());
  }
}

TEST("the same lines give the same events, byte for byte") {
  std::string first;
  std::string second;
  for (std::string* all : {&first, &second}) {
    Protocol protocol;
    open(protocol);
    for (int i = 0; i < 300; ++i) {
      const std::string n = std::to_string(i);
      *all += protocol.one("ORDER " + std::string(i % 3 == 0 ? "SELL" : "BUY") + " BTCUSDT 0.01 " +
                           std::to_string(95 + i % 11) + " o" + n + " ts=" + std::to_string(100 + i));
      *all +=
          protocol.one("TRADE BTCUSDT " + std::to_string(96 + i % 7) + " 0.02 ts=" + std::to_string(100 + i));
    }
    *all += protocol.one("STATE main ts=1000");
  }
  CHECK(first.size() > 10'000);
  CHECK(first == second);
}

TEST("statistics count commands, errors, orders and fills") {
  Protocol protocol;
  open(protocol);
  protocol("ORDER BUY BTCUSDT 1 101 a ts=5");
  protocol("ORDER BUY BTCUSDT 1 98 b ts=5");
  protocol("NONSENSE");
  CHECK_EQ(protocol.one("STATS ts=11"),
           "{\"type\":\"stats\",\"version\":\"" VELOZ_VERSION
           "\",\"uptime_ns\":10,\"commands\":8,\"errors\":1,"
           "\"orders\":2,\"fills\":1,\"accounts\":1,\"open_orders\":1,\"symbols\":1}");
}

TEST("an error names the account and the order its command named") {
  Protocol protocol;
  open(protocol);
  CHECK(contains(protocol.one("CANCEL ghost"), "\"account\":\"main\",\"client_order_id\":\"ghost\"}"));
  CHECK(contains(protocol.one("HASH nobody"), "\"account\":\"nobody\"}"));
  CHECK(!contains(protocol.one("TRADE GHOST 1 1"), "\"account\""));
}
