#include "engine.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "test.hpp"

using namespace veloz;

namespace {

/// Notes what matters of each event as a short text.
struct Notes final : EventSink {
  std::vector<std::string> all;
  std::string last_account;

  std::vector<std::string> take() {
    return std::exchange(all, {});
  }
  void order_update(const OrderUpdateEvent& e) override {
    all.push_back(std::string(e.account) + " " + std::string(e.client_order_id) + " " +
                  std::string(name(e.status)) + (e.reason.empty() ? "" : " " + std::string(e.reason)));
  }
  void fill(const FillEvent& e) override {
    all.push_back(std::string(e.account) + " " + std::string(e.client_order_id) + " " + decimal_text(e.qty) +
                  "@" + decimal_text(e.price) + " " + std::string(name(e.liquidity)));
  }
  void account(const AccountEvent& e) override {
    last_account = e.account;
    for (const BalanceRow& row : e.balances) {
      last_account +=
          " " + std::string(row.asset) + " " + decimal_text(row.free) + "+" + decimal_text(row.locked);
    }
  }
  void error(const ErrorEvent& e) override {
    all.push_back("error " + std::string(name(e.code)));
  }
};

using List = std::vector<std::string>;

constexpr Nanos kSecond = 1'000'000'000;

/// An engine with one symbol, tick 1 and lot 1, and accounts that hold much of both assets.
struct Desk {
  explicit Desk(std::initializer_list<std::string_view> accounts = {"main"}) {
    engine.execute(now, DefineSymbol{"X", "B", "Q", kOne, kOne});
    for (const std::string_view account : accounts) {
      engine.execute(now, OpenAccount{account});
      engine.execute(now, TransferFunds{account, "Q", 1'000'000 * kOne, {}});
      engine.execute(now, TransferFunds{account, "B", 1'000 * kOne, {}});
    }
    notes.take();
  }

  NewOrder limit(Side side, Units qty, Units price, std::string_view id, std::string_view account = "main") {
    return {.account = account,
            .side = side,
            .symbol = "X",
            .qty = qty * kOne,
            .price = price * kOne,
            .client_order_id = id};
  }
  template <class C>
  List run(const C& command) {
    engine.execute(now, command);
    return notes.take();
  }
  List buy(Units qty, Units price, std::string_view id, std::string_view account = "main") {
    return run(limit(Side::Buy, qty, price, id, account));
  }
  List sell(Units qty, Units price, std::string_view id, std::string_view account = "main") {
    return run(limit(Side::Sell, qty, price, id, account));
  }
  List print(Units price, Units qty) {
    return run(Print{"X", price * kOne, qty * kOne, {}});
  }
  List quote(Units bid, Units bid_qty, Units ask, Units ask_qty) {
    return run(Quote{"X", bid * kOne, bid_qty * kOne, ask * kOne, ask_qty * kOne, {}});
  }

  Notes notes;
  Engine engine{notes};
  Nanos now = 100 * kSecond;
};

}  // namespace

TEST("a print fills each account by itself, accounts in byte order") {
  Desk desk({"b", "B", "a"});
  for (const char* account : {"a", "b", "B"}) {
    desk.buy(5, 100, "o", account);
  }
  CHECK(desk.print(99, 5) == (List{"B o 5@100 maker", "B o FILLED", "a o 5@100 maker", "a o FILLED",
                                   "b o 5@100 maker", "b o FILLED"}));
}

TEST("a print reaches only the accounts whose orders it crosses") {
  Desk desk({"a", "b", "c"});
  desk.buy(1, 90, "low", "a");
  desk.buy(1, 95, "mid", "b");
  desk.sell(1, 110, "far", "c");
  CHECK(desk.print(94, 9) == (List{"b mid 1@95 maker", "b mid FILLED"}));
  CHECK(desk.print(94, 9).empty());
  CHECK(desk.print(110, 9) == (List{"c far 1@110 maker", "c far FILLED"}));
  CHECK(desk.print(89, 9) == (List{"a low 1@90 maker", "a low FILLED"}));
}

TEST("an account stays reachable while its best orders come and go") {
  Desk desk;
  desk.buy(1, 90, "a");
  desk.buy(1, 92, "b");
  desk.buy(1, 91, "c");
  desk.run(CancelOrder{.client_order_id = "b"});
  CHECK(desk.print(92, 9).empty());
  CHECK(desk.print(91, 9) == (List{"main c 1@91 maker", "main c FILLED"}));
  desk.run(AmendOrder{.client_order_id = "a", .price = 95 * kOne});
  CHECK(desk.print(94, 9) == (List{"main a 1@95 maker", "main a FILLED"}));
  CHECK(desk.print(1, 9).empty());
}

TEST("the printed quantity is shared by price, then rank") {
  Desk desk;
  desk.buy(2, 100, "first");
  desk.buy(2, 101, "best");
  desk.buy(2, 100, "second");
  CHECK(desk.print(100, 5) ==
        (List{"main best 2@101 maker", "main best FILLED", "main first 2@100 maker", "main first FILLED",
              "main second 1@100 maker", "main second PARTIALLY_FILLED"}));
}

TEST("a quote fills what it crosses from its own quantity, once") {
  Desk desk;
  desk.buy(3, 100, "a");
  desk.buy(3, 99, "b");
  CHECK(desk.quote(90, 1, 99, 4) ==
        (List{"main a 3@100 maker", "main a FILLED", "main b 1@99 maker", "main b PARTIALLY_FILLED"}));
  CHECK(desk.run(NewOrder{.side = Side::Buy,
                          .symbol = "X",
                          .qty = kOne,
                          .client_order_id = "m",
                          .type = OrderType::Market,
                          .tif = TimeInForce::Ioc}) ==
        (List{"main m ACCEPTED", "main m CANCELLED NO_LIQUIDITY"}));
  CHECK(desk.quote(90, 1, 99, 1) == (List{"main b 1@99 maker", "main b PARTIALLY_FILLED"}));
}

TEST("a stop that a print triggers does not meet that print") {
  Desk desk;
  NewOrder stop = desk.limit(Side::Buy, 1, 105, "s");
  stop.type = OrderType::StopLimit;
  stop.stop = 100 * kOne;
  CHECK(desk.run(stop) == List{"main s ACCEPTED"});
  CHECK(desk.print(101, 9) == List{"main s ACCEPTED TRIGGERED"});
  CHECK(desk.print(104, 9) == (List{"main s 1@105 maker", "main s FILLED"}));
}

TEST("stops are carried out in rank order, whatever their prices") {
  Desk desk;
  desk.print(100, 1);
  desk.quote(95, 50, 105, 50);
  const auto stop = [&](Side side, Units price, std::string_view id) {
    NewOrder order = desk.limit(side, 1, 0, id);
    order.type = OrderType::Stop;
    order.stop = price * kOne;
    return order;
  };
  desk.run(stop(Side::Buy, 112, "one"));
  desk.run(stop(Side::Buy, 110, "two"));
  desk.run(stop(Side::Buy, 120, "three"));
  CHECK(desk.print(115, 1) ==
        (List{"main one ACCEPTED TRIGGERED", "main one 1@105 taker", "main one FILLED",
              "main two ACCEPTED TRIGGERED", "main two 1@105 taker", "main two FILLED"}));
}

TEST("orders expire before the command that brings the time") {
  Desk desk({"a", "b"});
  for (const char* account : {"b", "a"}) {
    NewOrder order = desk.limit(Side::Buy, 1, 90, "g", account);
    order.tif = TimeInForce::Gtd;
    order.expire = desk.now + 10;
    desk.run(order);
  }
  desk.now += 9;
  CHECK(desk.run(Tick{}).empty());
  desk.now += 1;
  CHECK(desk.print(80, 9) == (List{"a g EXPIRED GTD_EXPIRED", "b g EXPIRED GTD_EXPIRED"}));
}

TEST("time never runs back") {
  Desk desk;
  desk.engine.execute(desk.now + 50, Tick{});
  desk.engine.execute(3, Tick{});
  CHECK_EQ(desk.engine.clock(), desk.now + 50);
}

TEST("the order rate is counted over exactly one second") {
  Desk desk;
  SetLimits limits;
  limits.order_rate = 2;
  desk.run(limits);
  const auto status = [&](std::string_view id) { return desk.buy(1, 90, id).front(); };
  CHECK_EQ(status("a"), "main a ACCEPTED");
  desk.now += kSecond / 2;
  CHECK_EQ(status("b"), "main b ACCEPTED");
  desk.now += kSecond / 2 - 1;
  CHECK_EQ(status("c"), "main c REJECTED ORDER_RATE");
  desk.now += 1;
  CHECK_EQ(status("d"), "main d ACCEPTED");
  CHECK_EQ(status("e"), "main e REJECTED ORDER_RATE");
}

TEST("funds are locked while an order is open and free again after it") {
  Desk desk;
  desk.buy(10, 100, "a");
  CHECK_EQ(desk.notes.last_account, "main B 1000+0 Q 999000+1000");
  desk.print(100, 4);
  CHECK_EQ(desk.notes.last_account, "main B 1004+0 Q 999000+600");
  desk.run(AmendOrder{.client_order_id = "a", .qty = 5 * kOne});
  CHECK_EQ(desk.notes.last_account, "main B 1004+0 Q 999500+100");
  desk.run(CancelOrder{.client_order_id = "a"});
  CHECK_EQ(desk.notes.last_account, "main B 1004+0 Q 999600+0");
}

TEST("an order that leaves nothing changed is followed by no account event") {
  Desk desk;
  desk.notes.last_account = "none";
  NewOrder order = desk.limit(Side::Buy, 1, 100, "i");
  order.tif = TimeInForce::Ioc;
  CHECK(desk.run(order) == (List{"main i ACCEPTED", "main i CANCELLED IOC_REMAINDER"}));
  CHECK_EQ(desk.notes.last_account, "none");
}

TEST("a fill that would not fit in 64 bits cancels its order") {
  Desk desk;
  desk.run(OpenAccount{"rich"});
  desk.run(TransferFunds{"rich", "B", kMaxUnits - 2 * kOne, {}});
  desk.run(TransferFunds{"rich", "Q", 1'000 * kOne, {}});
  desk.buy(5, 10, "a", "rich");
  desk.buy(1, 10, "b", "rich");
  CHECK(desk.print(10, 5) == (List{"rich a CANCELLED OVERFLOW", "rich b 1@10 maker", "rich b FILLED"}));
  CHECK_EQ(desk.notes.last_account, "rich B 92233720367.54775807+0 Q 990+0");
}

TEST("a deposit beyond 64 bits and a withdrawal beyond what is free are refused") {
  Desk desk;
  CHECK(desk.run(TransferFunds{"main", "Q", kMaxUnits, {}}) == List{"error OVERFLOW"});
  desk.buy(1, 1'000'000, "all");
  CHECK(desk.run(TransferFunds{"main", "Q", -1, {}}) == List{"error INSUFFICIENT_FUNDS"});
  CHECK(desk.run(TransferFunds{"main", "Z", -1, {}}) == List{"error INSUFFICIENT_FUNDS"});
}

TEST("a forgotten account leaves nothing the market could reach") {
  Desk desk({"a", "b"});
  desk.buy(1, 100, "o", "a");
  desk.buy(1, 100, "o", "b");
  NewOrder timed = desk.limit(Side::Sell, 1, 200, "g", "a");
  timed.tif = TimeInForce::Gtd;
  timed.expire = desk.now + 5;
  desk.run(timed);
  CHECK(desk.run(ForgetAccount{"a"}).empty());
  desk.now += 10;
  CHECK(desk.print(100, 9) == (List{"b o 1@100 maker", "b o FILLED"}));
  CHECK_EQ(desk.engine.hash("a"), "");
  CHECK(desk.run(ForgetAccount{"a"}) == List{"error UNKNOWN_ACCOUNT"});
}

TEST("what a forgotten account took from the book is there again for its successor") {
  Desk desk({"a"});
  desk.quote(90, 1, 100, 5);
  CHECK(desk.buy(5, 100, "o", "a").back() == "a o FILLED");
  desk.run(ForgetAccount{"a"});
  desk.run(OpenAccount{"a"});
  desk.run(TransferFunds{"a", "Q", 1'000 * kOne, {}});
  CHECK(desk.buy(5, 100, "p", "a").back() == "a p FILLED");
}

TEST("cancel_all spares other symbols and takes accounts in byte order") {
  Desk desk({"b", "a"});
  desk.run(DefineSymbol{"Y", "B", "Q", kOne, kOne});
  for (const char* account : {"b", "a"}) {
    desk.buy(1, 90, "x1", account);
    desk.sell(1, 190, "x2", account);
    NewOrder other = desk.limit(Side::Buy, 1, 90, "y", account);
    other.symbol = "Y";
    desk.run(other);
  }
  CHECK(desk.run(CancelAll{.account = "*", .symbol = "X", .reason = "STOP"}) ==
        (List{"a x1 CANCELLED STOP", "a x2 CANCELLED STOP", "b x1 CANCELLED STOP", "b x2 CANCELLED STOP"}));
  CHECK(desk.run(CancelAll{.account = "b"}) == List{"b y CANCELLED USER"});
  CHECK(desk.run(CancelAll{.account = "a", .symbol = "Z"}) == List{"error UNKNOWN_SYMBOL"});
}

TEST("equal states have equal hashes however they were reached") {
  Desk one;
  Desk two;
  one.buy(3, 90, "keep");
  one.buy(1, 91, "drop");
  one.run(CancelOrder{.client_order_id = "drop"});
  one.run(TransferFunds{"main", "Q", 5 * kOne, {}});
  two.run(TransferFunds{"main", "Q", 2 * kOne, {}});
  two.run(TransferFunds{"main", "Q", 3 * kOne, {}});
  two.now += 7;
  two.buy(3, 90, "keep");
  CHECK(one.engine.state_text("main") == two.engine.state_text("main"));
  CHECK_EQ(one.engine.hash("main"), two.engine.hash("main"));
  two.run(AmendOrder{.client_order_id = "keep", .qty = 2 * kOne});
  CHECK(one.engine.hash("main") != two.engine.hash("main"));
}

TEST("the digested text is the documented one") {
  Desk desk;
  desk.buy(3, 90, "id");
  desk.print(90, 1);
  CHECK_EQ(desk.engine.state_text("main"),
           "veloz-state 1\naccount main\ntrades 1\nbalance B 100100000000\nbalance Q 99991000000000\n"
           "position X 100000000 9000000000 0 0 0\n"
           "order id X BUY LIMIT GTC 300000000 9000000000 0 0 100000000 9000000000 0 PARTIALLY_FILLED "
           "CANCEL_NEWEST\n");
}

TEST("thousands of orders open and close without upsetting the money") {
  Desk desk;
  std::uint64_t seed = 1;
  std::vector<std::string> ids;
  for (int i = 0; i < 5'000; ++i) {
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    const auto roll = static_cast<Units>(seed >> 40);
    ids.push_back("o" + std::to_string(i));
    desk.run(desk.limit(roll % 2 == 0 ? Side::Buy : Side::Sell, 1 + roll % 3, 90 + roll % 21, ids.back()));
    if (i % 3 == 0) {
      desk.print(90 + roll % 20, 2);
    }
    if (i % 5 == 0) {
      desk.quote(95, 3, 105, 3);
    }
    if (i % 2 == 0) {
      desk.run(CancelOrder{.client_order_id = ids[static_cast<std::size_t>(roll) % ids.size()]});
    }
  }
  desk.run(CancelAll{});
  // Bought and sold at no fee: what B gained, the position holds; nothing stays locked.
  const std::string text = desk.engine.state_text("main");
  CHECK(text.find("\norder ") == std::string::npos);
  CHECK(desk.notes.last_account.find("+0 Q ") != std::string::npos);
  CHECK(desk.notes.last_account.ends_with("+0"));
}
