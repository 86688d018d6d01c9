#include "account.hpp"

#include <algorithm>

namespace veloz {
namespace {

Shelf shelf_of(const Order& order) {
  if (order.waiting()) {
    return order.side == Side::Buy ? Shelf::BuyStops : Shelf::SellStops;
  }
  return order.side == Side::Buy ? Shelf::Buys : Shelf::Sells;
}

Units shelf_price(const Order& order) {
  return order.waiting() ? order.stop : order.price;
}

}  // namespace

Holding::Holding(Account& owner, Instrument& what, Balance& base_balance, Balance& quote_balance)
    : account(owner),
      instrument(what),
      base(base_balance),
      quote(quote_balance),
      ladders{Ladder(Ladder::First::Highest), Ladder(Ladder::First::Lowest), Ladder(Ladder::First::Lowest),
              Ladder(Ladder::First::Highest)} {}

std::optional<Units> Holding::best_resting(Side side) const {
  return ladders[index(side == Side::Buy ? Shelf::Buys : Shelf::Sells)].best_price();
}

void Holding::put_on_shelf(Order& order) {
  const Shelf shelf = shelf_of(order);
  Ladder& orders = ladder(shelf);
  const auto before = orders.best_key();
  const Units price = shelf_price(order);
  orders.push(order, price);
  const Units key = orders.key(price);
  if (before && *before <= key) {
    return;
  }
  auto& reach = instrument.reach[index(shelf)];
  if (before) {
    auto node = reach.extract({*before, this});
    node.value().first = key;
    reach.insert(std::move(node));
  } else {
    reach.emplace(key, this);
  }
}

void Holding::take_off_shelf(Order& order) {
  const Shelf shelf = shelf_of(order);
  Ladder& orders = ladder(shelf);
  const Units key = orders.key(shelf_price(order));
  orders.erase(order);
  const auto after = orders.best_key();
  if (after && *after <= key) {
    return;
  }
  auto& reach = instrument.reach[index(shelf)];
  auto node = reach.extract({key, this});
  if (after) {
    node.value().first = *after;
    reach.insert(std::move(node));
  }
}

Holding& Account::holding(Instrument& instrument) {
  if (instrument.number >= holding_by_number.size()) {
    holding_by_number.resize(instrument.number + 1);
  }
  Holding*& known = holding_by_number[instrument.number];
  if (known == nullptr) {
    auto made =
        std::make_unique<Holding>(*this, instrument, balances[instrument.base], balances[instrument.quote]);
    known = made.get();
    holdings.emplace(instrument.symbol, std::move(made));
  }
  return *known;
}

std::vector<Order*> Account::orders_by_rank() const {
  std::vector<Order*> orders = open_orders.orders();
  std::ranges::sort(orders, {}, &Order::rank);
  return orders;
}

}  // namespace veloz
