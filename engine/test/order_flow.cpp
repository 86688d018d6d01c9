#include "order_flow.hpp"

#include <algorithm>

#include "reference_text.hpp"

namespace veloz::reference {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

}  // namespace

OrderFlow::OrderFlow(std::uint64_t seed, const Model& model)
    : state_(seed), model_(model), accounts_{"B2", "a1", "main"} {
  limited_ = once_in(2);
  crowded_ = once_in(8);
  deep_ = once_in(10);
  if (crowded_)
    accounts_ = {"A", "A.", "A/x", "a", "a-1", "main", "z:9", std::string(64, 'n')};
  if (deep_)
    accounts_ = {"main", "deep"};
  open();
}

// SplitMix64 (Steele, Lea, Flood 2014): the same numbers with every standard library.
std::int64_t OrderFlow::under(std::int64_t bound) {
  std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return static_cast<std::int64_t>((z ^ (z >> 31)) % static_cast<std::uint64_t>(bound));
}

const std::string& OrderFlow::pick(const std::vector<std::string>& words) {
  return words[static_cast<std::size_t>(under(std::ssize(words)))];
}

void OrderFlow::say(const std::string& line) {
  const std::string req = once_in(20) ? "" : "@" + std::to_string(++req_) + " ";
  const auto behind = once_in(50) ? under(kSecond) : 0;  // a time that is past does not turn the clock back
  lines_.push_back(req + line + (once_in(50) ? "" : " ts=" + std::to_string(clock_ - behind)));
}

void OrderFlow::open() {
  // Round figures; figures whose products round; figures that overflow 64 bits.
  instruments_ = {{"AAAUSD", "AAA", "USD", 1'000'000, 100'000, 10'000'000'000, 12, 60},
                  {"BBB/USD", "BBB", "USD", 7, 3, 33'333'328, 15, 90'000'000},
                  {"AAABBB", "AAA", "BBB", 100'000'000, 1, 50'000'000'000, 8, 1'000'000'007}};
  if (once_in(4))
    instruments_.push_back({"HUGE", "HHH", "USD", kOne, kOne, 1'000'000'000'000'000'000, 10, 40});
  for (auto& i : instruments_) {
    i.round = i.centre;
    if (crowded_ || deep_)
      i.spread *= 20;
    define(i);
  }
  for (const auto& account : accounts_) {
    fund(account);
    if (!once_in(3))
      say("LIMITS maker_fee_bps=" + pick({"0", "1", "7.5"}) +
          " taker_fee_bps=" + pick({"10", "12.34567891", "10000"}) + " acct=" + account);
  }
}

void OrderFlow::fund(const std::string& account) {
  say("ACCOUNT " + account);
  for (const std::string asset : {"USD", "AAA", "BBB"}) {
    say("DEPOSIT " + asset + " " + std::to_string(5 + under(20'000)) + "." +
        std::to_string(1 + under(99'999'999)) + " acct=" + account);
  }
}

void OrderFlow::define(const Instrument& i) {
  std::string line = "SYMBOL " + i.symbol + " base=" + i.base + " quote=" + i.quote +
                     " tick=" + show(i.tick) + " lot=" + show(i.lot);
  const Wide usual = floor_mul(i.centre, i.lot * i.size);
  if (limited_)
    line += " min_qty=" + show(i.lot * 2) + " max_qty=" + show(i.lot * (i.size - 2));
  if (limited_ && fits(usual))
    line += " min_notional=" + show(static_cast<Units>(usual / 12));
  say(line);
}

// Other rules for a while: open orders stay, what comes is judged anew.
void OrderFlow::redefine(const Instrument& i) {
  Instrument other = i;
  other.tick *= 1 + under(3);
  other.lot *= 1 + under(2);
  define(other);
  for (int n = 0; n < 4; ++n)
    once_in(2) ? order() : amend();
  define(i);
}

std::string OrderFlow::next() {
  while (lines_.empty())
    refill();
  const std::string line = lines_.front();
  lines_.pop_front();
  return line;
}

void OrderFlow::refill() {
  if (!once_in(3))
    advance_clock();
  if (deep_ && !once_in(8))
    return queue_up();
  const auto kind = under(1000);
  if (kind < 560)
    return order();
  if (kind < 630)
    return cancel();
  if (kind < 730)
    return amend();
  if (kind < 830)
    return print();
  if (kind < 930)
    return book();
  if (kind < 945)
    return transfer();
  if (kind < 962)
    return limits();
  if (kind < 972)
    return say("HASH " + pick(accounts_));
  if (kind < 978)
    return say("STATE " + pick(accounts_));
  if (kind < 980)
    return redefine(instrument());
  if (kind < 984 && !((crowded_ || deep_) && !once_in(8)))
    return say("CANCEL_ALL acct=" + pick({"a1", "main", "*"}) +
               (once_in(2) ? " symbol=" + instrument().symbol : "") + " reason=sweep");
  if (kind < 988)
    return restart(pick(accounts_));
  mistake();
}

void OrderFlow::advance_clock() {
  const auto kind = under(1000);
  if (kind < 900)
    clock_ += under(kSecond / 5);
  if (kind >= 900 && kind < 980)
    clock_ += kSecond;
  if (kind >= 980 && kind < 997)
    clock_ += under(100 * kSecond);
  if (kind == 999)
    clock_ += kDayNs - under(2 * kSecond);
}

std::string OrderFlow::price(const Instrument& i, std::int64_t lean) {
  if (once_in(8))
    return show(i.round);
  const auto away = under(2 * i.spread + 1) - i.spread + lean;
  return show(i.centre + away * i.tick + (once_in(150) ? 1 : 0));
}

std::string OrderFlow::qty(const Instrument& i) {
  return show(i.lot * (1 + under(i.size)) + (once_in(200) ? 1 : 0));
}

void OrderFlow::order() {
  auto& i = instrument();
  const auto& account = pick(accounts_);
  const bool buy = once_in(2);
  const std::string id = once_in(60) ? some_open(account) : "o" + std::to_string(++orders_);
  const auto kind = under(100);
  const std::string type = kind < 65 ? "LIMIT" : kind < 78 ? "MARKET" : kind < 90 ? "STOP" : "STOP_LIMIT";
  const bool priced = type == "LIMIT" || type == "STOP_LIMIT";
  std::string tif = type == "LIMIT"    ? pick({"GTC", "GTC", "GTC", "IOC", "FOK", "GTX", "GTD"})
                    : type == "MARKET" ? pick({"IOC", "GTC", "FOK"})
                                       : pick({"GTC", "GTC", "GTD"});
  std::string line = "ORDER " + std::string(buy ? "BUY " : "SELL ") + i.symbol + " " + qty(i) + " ";
  line += (priced ? price(i, buy ? -i.spread / 3 : i.spread / 3) : "0") + " " + id + " " + type + " " + tif +
          " acct=" + account;
  if (type == "STOP" || type == "STOP_LIMIT")
    line += " stop=" + price(i, buy ? i.spread / 3 : -i.spread / 3);
  if (tif == "GTD")
    line += " expire=" + std::to_string(clock_ + (once_in(50) ? 0 : under(5) * kSecond + under(3)));
  if (once_in(3))
    line += " stp=NONE";
  say(line);
}

// Orders that mostly rest, so that hundreds do, and prints and cancels that take some away.
void OrderFlow::queue_up() {
  auto& i = instruments_.front();
  const auto& account = pick(accounts_);
  const bool buy = once_in(2);
  const auto kind = under(20);
  if (kind == 0)
    return cancel();
  if (kind == 1)
    return amend();
  const auto away = 1 + under(i.spread);
  const std::string at = show(i.centre + (buy ? -away : away) * i.tick);
  if (kind == 2)
    return say("TRADE " + i.symbol + " " + show(i.centre + (under(41) - 20) * i.tick) + " " + qty(i));
  const std::string order = (buy ? "ORDER BUY " : "ORDER SELL ") + i.symbol + " " + show(i.lot * 2) + " ";
  const std::string rest =
      " o" + std::to_string(++orders_) + (kind < 6 ? " STOP" : " LIMIT") + " GTC acct=" + account;
  say(order + (kind < 6 ? "0" : at) + rest + (kind < 6 ? " stop=" + at : ""));
}

std::string OrderFlow::some_open(const std::string& name) {
  const auto found = model_.accounts().find(name);
  if (found == model_.accounts().end() || found->second.open.empty() || once_in(40))
    return "nobody";
  return found->second.open[static_cast<std::size_t>(under(std::ssize(found->second.open)))]->id;
}

void OrderFlow::cancel() {
  const auto& account = pick(accounts_);
  say("CANCEL " + some_open(account) + " acct=" + account + (once_in(4) ? " reason=bored" : "") +
      (once_in(8) ? " symbol=" + instruments_.front().symbol : ""));
}

void OrderFlow::amend() {
  const auto& account = pick(accounts_);
  const std::string id = some_open(account);
  std::string line = "AMEND " + id + " acct=" + account;
  const auto found = model_.accounts().find(account);
  if (found == model_.accounts().end() || id == "nobody")
    return say(line + " qty=1");
  const auto& open = found->second.open;
  const auto& order = **std::find_if(open.begin(), open.end(), [&](const auto& o) { return o->id == id; });
  const auto& i = *std::find_if(instruments_.begin(), instruments_.end(),
                                [&](const auto& x) { return x.symbol == order.symbol; });
  const auto kind = under(8);
  const Units smaller = std::max(i.lot, order.executed + i.lot * under(1 + order.leaves() / i.lot));
  if (kind < 3)
    line += " qty=" + show(smaller);
  if (kind == 3 || kind == 4)
    line += " qty=" + qty(i);
  if (kind == 7)
    line += " qty=" + show(order.qty);
  const bool price_too = kind >= 4 && (order.type != "STOP" || once_in(20));
  if (price_too)
    line += " price=" + (kind == 7 ? show(std::max(order.price, i.tick)) : price(i));
  const bool stop_too =
      (kind >= 5 && order.waiting()) || once_in(40) || (kind >= 4 && !price_too && kind < 7);
  if (stop_too)
    line += " stop=" + price(i);
  say(line);
}

void OrderFlow::print() {
  auto& i = instrument();
  if (once_in(8))
    i.centre = std::max(i.centre + (under(7) - 3) * i.tick, i.tick * (3 * i.spread));
  say("TRADE " + i.symbol + " " + price(i) + " " + qty(i) +
      (once_in(5) ? " event_ts=" + std::to_string(clock_ - 5) : ""));
}

std::string OrderFlow::levels(const Instrument& i, bool bids) {
  std::string text;
  for (auto n = under(4); n > 0; --n) {
    const auto away = 1 + under(i.spread) - (once_in(12) ? i.spread : 0);
    const Units at = i.centre + (bids ? -away : away) * i.tick + (once_in(10) ? 1 : 0);
    text += (text.empty() ? "" : ",") + show(at) + ":" + (once_in(4) ? "0" : qty(i));
  }
  return text.empty() ? "-" : text;
}

void OrderFlow::book() {
  auto& i = instrument();
  if (i.has_depth || once_in(60))
    return depth(i);
  const auto ask_away = 1 + under(i.spread);
  const auto bid_away = once_in(60) ? -ask_away : under(i.spread);
  const std::string bid = once_in(10) ? "0 0" : show(i.centre - bid_away * i.tick) + " " + qty(i);
  const std::string ask = once_in(10) ? "0 0" : show(i.centre + ask_away * i.tick) + " " + qty(i);
  say("QUOTE " + i.symbol + " " + bid + " " + ask);
}

void OrderFlow::depth(Instrument& i) {
  const std::string sides = " " + levels(i, true) + " " + levels(i, false);
  const bool snapshot = !i.has_depth || once_in(6);
  const auto first = i.depth_id + 1 + (once_in(25) ? 1 : 0) - (once_in(10) ? 1 : 0);
  const auto last = std::max(first + under(3) - (once_in(15) ? 2 : 0), first);
  if (once_in(200))
    return say("QUOTE " + i.symbol + " 1 1 2 2");
  i.has_depth = i.has_depth || snapshot;
  i.depth_id = std::max(i.depth_id, last);
  if (snapshot)
    return say("DEPTH " + i.symbol + " SNAPSHOT " + std::to_string(last) + sides);
  say("DEPTH " + i.symbol + " UPDATE " + std::to_string(first) + " " + std::to_string(last) + sides);
}

void OrderFlow::transfer() {
  const std::string verb = once_in(2) ? "DEPOSIT " : "WITHDRAW ";
  const std::string amount = once_in(30)
                                 ? "92233720368.54775807"
                                 : std::to_string(under(3000)) + "." + std::to_string(1 + under(9'999'999));
  say(verb + pick({"USD", "AAA", "BBB", "HHH", "ZZZ"}) + " " + amount + " acct=" + pick(accounts_) +
      (once_in(3) ? " ref=r/1" : ""));
}

void OrderFlow::limits() {
  const std::string lifted = "LIMITS acct=* kill=0";
  if (once_in(25)) {
    say("LIMITS acct=* kill=1");
    for (int i = 0; i < 6; ++i)
      once_in(2) ? order() : amend();
    return say(lifted);
  }
  if (!limited_)
    return say(lifted);
  static const std::vector<std::pair<std::string, std::vector<std::string>>> kChoices = {
      {"maker_fee_bps", {"0", "7.5", "0.00000001"}},    {"taker_fee_bps", {"0", "10", "3333.33333333"}},
      {"max_order_qty", {"0", "0", "0.05", "0.7"}},     {"max_notional", {"0", "0", "5", "0.2"}},
      {"price_band_bps", {"0", "0", "5", "3", "10.5"}}, {"max_open_orders", {"0", "3", "12"}},
      {"max_position", {"0", "0", "0.1", "1.5"}},       {"order_rate", {"0", "1", "3", "10"}},
      {"daily_loss", {"0", "0", "0.01", "1"}},          {"kill", {"0", "0", "0", "0", "0", "0", "1"}},
  };
  std::string line = "LIMITS acct=" + pick(accounts_);
  for (const auto& [key, values] : kChoices) {
    if (once_in(4))
      line += " " + key + "=" + pick(values);
  }
  say(line);
}

// What the gateway does when it hands an account over: everything dropped, then rebuilt from the record.
void OrderFlow::restart(const std::string& account) {
  if (model_.accounts().count(account) == 0)
    return;
  const auto lines = model_.restore_lines(account);
  say("FORGET " + account);
  const bool broken = once_in(12);
  for (const auto& line : lines) {
    if (broken && line.find(" BALANCE ") != std::string::npos)
      continue;
    if (once_in(30))
      say(pick({"TRADE AAAUSD 100 1", "HASH " + account, "CLOCK " + std::to_string(clock_),
                "CANCEL_ALL acct=*", "QUOTE AAAUSD 99.9 1 100.1 1"}));
    say(line);
  }
  if (broken)
    fund(account);
  say("LIMITS maker_fee_bps=2.5 taker_fee_bps=10 acct=" + account);
}

void OrderFlow::mistake() {
  const std::string& account = pick(accounts_);
  const std::string acct = " acct=" + account;
  say(pick({"ORDER BUY NOSUCH 1 1 x1" + acct,
            "ORDER BUY AAAUSD 1 100 x2 acct=nobody",
            "ACCOUNT " + account,
            "SYMBOL AAAUSD base=AAA quote=EUR tick=1 lot=1",
            "ORDER BUY AAAUSD 1 0 x3" + acct,
            "ORDER BUY AAAUSD 1 100 x4 MARKET" + acct,
            "ORDER BUY AAAUSD 1 100 x5 STOP_LIMIT IOC stop=100" + acct,
            "ORDER SELL AAAUSD 1 100 x6 LIMIT GTC stop=90" + acct,
            "ORDER SELL AAAUSD 1 100 x7 LIMIT GTD" + acct,
            "ORDER SELL AAAUSD 1 100 x8 LIMIT GTC expire=9000000000000000000" + acct,
            "TRADE NOSUCH 1 1",
            "HASH nobody",
            "FORGET nobody",
            "STATE nobody",
            "FLY",
            "RESTORE BEGIN " + account,
            "RESTORE BALANCE USD 5" + acct,
            "WITHDRAW USD 92233720368" + acct,
            "CANCEL nothing acct=nobody",
            "DEPTH NOSUCH UPDATE 1 1 - -",
            "DEPOSIT USD 0" + acct,
            "CLOCK " + std::to_string(clock_ / 2)}));
}

}  // namespace veloz::reference
