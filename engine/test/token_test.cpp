#include "token.hpp"

#include <string>

#include "test.hpp"
#include "types.hpp"

using namespace veloz;

TEST("a token has 1 to 64 of its characters") {
  CHECK(is_token("A"));
  CHECK(is_token("azAZ09._:/-"));
  CHECK(is_token(std::string(64, 'x')));
  CHECK(!is_token(std::string(65, 'x')));
  CHECK(!is_token(""));
}

TEST("no other byte is part of a token") {
  int allowed = 0;
  for (int byte = 0; byte < 256; ++byte) {
    allowed += is_token(std::string(1, static_cast<char>(byte))) ? 1 : 0;
  }
  CHECK_EQ(allowed, 26 + 26 + 10 + 5);
}

TEST("a held token is the text it was given") {
  Token token("first-and-longer");
  token.assign("second");
  CHECK_EQ(token.view(), "second");
  CHECK_EQ(Token(std::string(64, 'y')).view(), std::string(64, 'y'));
}

TEST("sides, types and times in force are read in any case") {
  CHECK(side_from("bUy") == Side::Buy);
  CHECK(order_type_from("stop_limit") == OrderType::StopLimit);
  CHECK(time_in_force_from("Gtx") == TimeInForce::Gtx);
  CHECK(!side_from("BUYS"));
  CHECK(!side_from(""));
}

TEST("fixed option values are read as they are spelled") {
  CHECK(self_trade_from("NONE") == SelfTrade::None);
  CHECK(!self_trade_from("none"));
  CHECK(status_from("PARTIALLY_FILLED") == Status::PartiallyFilled);
}

TEST("every code has its name") {
  CHECK_EQ(name(Code::BadReq), "BAD_REQ");
  CHECK_EQ(name(Code::InsufficientFunds), "INSUFFICIENT_FUNDS");
  CHECK_EQ(name(Code::OrderRate), "ORDER_RATE");
  CHECK_EQ(name(Code::SelfTrade), "SELF_TRADE");
}
