// A deliberately naive reading of docs/engine_protocol.md: flat vectors, linear scans, text in and text out.
// It shares nothing with the engine but SHA-256, so that a mistake has to be made twice to go unseen.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace veloz::reference {

using Units = std::int64_t;  // 1e-8 of an asset, or a plain whole number where a name says so
__extension__ using Wide = __int128;

// A wrong reading of the document, on purpose: the differential test must notice each of them.
enum class Fault {
  none,
  newest_first,
  lock_rounded_down,
  fee_rounded_down,
  self_trade_ignored,
  stop_needs_more_than_reached,
  taken_forgotten,
  amend_keeps_rank,
  expiry_one_late,
  realised_of_whole_fill,
  rate_window_closed,
  band_inclusive,
};

struct Order {
  std::string account, id, symbol, side, type, tif, stp = "CANCEL_NEWEST", status, reason;
  Units qty = 0, price = 0, stop = 0, executed = 0, notional = 0;
  std::int64_t expire = 0, rank = 0, created = 0, last = 0;
  bool triggered = false;

  [[nodiscard]] bool buy() const {
    return side == "BUY";
  }
  [[nodiscard]] Units leaves() const {
    return qty - executed;
  }
  [[nodiscard]] bool is_stop() const {
    return type == "STOP" || type == "STOP_LIMIT";
  }
  [[nodiscard]] bool waiting() const {
    return is_stop() && !triggered;
  }
};
using OrderRef = std::shared_ptr<Order>;

struct Position {
  Units qty = 0, cost = 0, realised = 0, day_realised = 0;
  std::int64_t day = 0;
};

struct Account {
  std::string name;
  std::map<std::string, Units> totals;
  std::map<std::string, Position> positions;
  std::map<std::string, Units> limits;
  bool kill = false;
  std::vector<OrderRef> open;
  std::int64_t last_rank = 0, trades = 0;
  std::vector<std::int64_t> rate_passed;  // the clock at each order that passed the rate check
  bool restoring = false;
  std::string shown;  // balances and positions as the last command left them
};

struct Level {
  Units price = 0, qty = 0;
  std::map<std::string, Units> taken;  // by account
};

struct Market {
  std::string base, quote;
  Units tick = 0, lot = 0, min_qty = 0, max_qty = 0, min_notional = 0;
  std::optional<Units> last_price, last_qty;
  std::vector<Level> bids, asks;  // best first
  bool snapshot_seen = false, waiting_for_snapshot = false;
  std::int64_t depth_id = 0;
};

struct Words {
  std::int64_t req = 0;
  std::string verb;
  std::vector<std::string> at;
  std::map<std::string, std::string> options;

  [[nodiscard]] std::string option(const std::string& key, const std::string& otherwise = "") const;
  [[nodiscard]] bool has(const std::string& key) const {
    return options.count(key) != 0;
  }
};

// A walk of the market book, before it is carried out.
struct Walk {
  std::vector<std::pair<Level*, Units>> steps;
  Units filled = 0;
  Wide cost = 0;
  bool self_trade = false;
};

class Model {
 public:
  explicit Model(Fault fault = Fault::none) : fault_(fault) {}

  // The events of one line, without their newlines; `error` events stop after their code.
  std::vector<std::string> run(const std::string& line);

  [[nodiscard]] std::string state_text(const std::string& account) const;
  // The answer to HASH, without a `req` when asked between commands.
  [[nodiscard]] std::string hash_event(const std::string& account) const;
  // Lines that rebuild the account in an engine that knows its symbols (section 8).
  [[nodiscard]] std::vector<std::string> restore_lines(const std::string& account) const;
  [[nodiscard]] const std::map<std::string, Account>& accounts() const {
    return accounts_;
  }
  [[nodiscard]] const std::map<std::string, Market>& markets() const {
    return markets_;
  }

 private:
  void command(const Words& words);
  void symbol(const Words& words);
  void open_account(const Words& words);
  void transfer(const Words& words, int sign);
  void limits(const Words& words);
  void state(const Words& words);
  void order(const Words& words);
  void cancel(const Words& words);
  void cancel_all(const Words& words);
  void amend(const Words& words);
  void trade(const Words& words);
  void quote(const Words& words);
  void depth(const Words& words);
  void forget(const std::string& name);
  void restore(const Words& words);
  void restore_order(const Words& words, Account& account);
  void restore_end(const std::string& name);

  Account& account(const std::string& name);
  Market& market(const std::string& name);
  Account& owner(const Order& order) {
    return accounts_.at(order.account);
  }

  void check_form(const Order& order, const Words& words) const;
  [[nodiscard]] std::string refusal(Account& account, const Order& order);
  [[nodiscard]] std::string size_refusal(const Account& account, const Order& order, const Walk& walk) const;
  [[nodiscard]] std::string amend_refusal(Account& account, const Order& old, const Order& wish);
  [[nodiscard]] bool band_refuses(const Account& account, const Order& order, const Walk& walk) const;
  [[nodiscard]] bool position_refuses(const Account& account, const Order& order) const;
  [[nodiscard]] bool post_only_takes(const Order& order) const;
  [[nodiscard]] Wide loss_today(const Account& account, const std::string& quote_asset) const;
  [[nodiscard]] bool rate_refuses(Account& account) const;

  void accept(const OrderRef& order);
  void trigger(const OrderRef& order);
  void go(const OrderRef& order);
  bool fill(const OrderRef& order, Units qty, Units price, bool maker);
  void end(const OrderRef& order, const std::string& status, const std::string& reason);
  void update(const OrderRef& order, const std::string& status, const std::string& reason);
  [[nodiscard]] Walk walk(const Account& account, const Order& order);
  [[nodiscard]] bool stop_reached(const Order& order);
  [[nodiscard]] bool own_opposite_crosses(const Account& account, const Order& order, Units price) const;
  [[nodiscard]] Units available(const Level& level, const std::string& account) const;
  [[nodiscard]] std::vector<OrderRef> by_rank(const Account& account) const;
  [[nodiscard]] std::vector<OrderRef> resting(const Account& account, const std::string& symbol,
                                              const std::string& side) const;
  [[nodiscard]] Wide lock(const Order& order) const;
  [[nodiscard]] Wide free_of(const Account& account, const std::string& asset) const;
  [[nodiscard]] std::string lock_asset(const Order& order) const;

  void expire_due();
  void print_fills(Account& account, const std::string& symbol, Units price, Units qty);
  void print_triggers(Account& account, const std::string& symbol);
  bool book_changed(const std::string& symbol, Market& market);  // false: it was crossed
  void match_against_book(const OrderRef& order, std::vector<Level>& levels);
  void depth_update(const Words& words, Market& market);
  void book_fault(const Words& words, Market& market, const std::string& status);
  void show_market(const Words& words, const Market& market);
  void close();
  void finish(const Words& words);
  [[nodiscard]] std::string head(const std::string& type) const;
  [[nodiscard]] std::string error_event(const Words& words, const std::string& code) const;
  [[nodiscard]] std::string order_state(const Order& order) const;
  [[nodiscard]] std::string figures(const Account& account) const;
  [[nodiscard]] std::string account_event(const Account& account) const;

  Fault fault_;
  std::int64_t clock_ = 0;
  bool killed_ = false;
  std::map<std::string, Account> accounts_;
  std::map<std::string, Market> markets_;

  // Of the command being carried out:
  std::int64_t req_ = 0;
  std::vector<std::string> events_, answers_;
  std::vector<OrderRef> touched_;
  std::vector<std::string> touched_accounts_;
};

}  // namespace veloz::reference
