#include "digest.hpp"

#include "sha256.hpp"

namespace veloz {
namespace {

void add(std::string& out, std::string_view word) {
  out += ' ';
  out += word;
}

void add(std::string& out, Int128 number) {
  out += ' ';
  append_integer(out, number);
}

template <class... Fields>
void line(std::string& out, std::string_view head, const Fields&... fields) {
  out += head;
  (add(out, fields), ...);
  out += '\n';
}

void order_line(std::string& out, const Order& order) {
  line(out, "order", order.id.view(), std::string_view(order.holding->instrument.symbol), name(order.side),
       name(order.type), name(order.tif), Int128{order.qty}, Int128{order.price}, Int128{order.stop},
       Int128{order.expire}, Int128{order.executed}, Int128{order.executed_notional}, Int128{order.triggered},
       name(order.status), name(order.stp));
}

}  // namespace

std::string state_text(const Account& account) {
  std::string out = "veloz-state 1\n";
  line(out, "account", std::string_view(account.name));
  line(out, "trades", Int128{account.trades});
  for (const auto& [asset, balance] : account.balances) {
    if (balance.total != 0) {
      line(out, "balance", std::string_view(asset), Int128{balance.total});
    }
  }
  for (const auto& [symbol, holding] : account.holdings) {
    const Position& p = holding->position;
    if (!p.blank()) {
      line(out, "position", symbol, Int128{p.qty}, Int128{p.cost}, Int128{p.realised}, Int128{p.day},
           Int128{p.day_realised});
    }
  }
  for (const Order* order : account.orders_by_rank()) {
    order_line(out, *order);
  }
  return out;
}

std::string state_hash(const Account& account) {
  return sha256_hex(state_text(account));
}

}  // namespace veloz
