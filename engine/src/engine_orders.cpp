#include "engine_impl.hpp"
#include "risk_text.hpp"
#include "text.hpp"

/// Orders (section 5).
namespace veloz {
namespace {

bool takes(OrderType type, TimeInForce tif) {
  switch (type) {
    case OrderType::Limit:
      return true;
    case OrderType::Market:
      return tif == TimeInForce::Ioc || tif == TimeInForce::Fok;
    case OrderType::Stop:
    case OrderType::StopLimit:
      return tif == TimeInForce::Gtc || tif == TimeInForce::Gtd;
  }
  return false;
}

/// What is wrong with the numbers an order brings; empty when nothing is.
std::string_view missing_or_idle(const NewOrder& command) {
  const bool priced = command.type == OrderType::Limit || command.type == OrderType::StopLimit;
  if (priced != (command.price != 0)) {
    return priced ? "needs a positive price" : "takes no price; give 0";
  }
  if (is_stop(command.type) != (command.stop != 0)) {
    return is_stop(command.type) ? "needs stop=" : "takes no stop=";
  }
  if ((command.tif == TimeInForce::Gtd) != (command.expire != 0)) {
    return command.tif == TimeInForce::Gtd ? "GTD needs expire=" : "takes expire= with GTD only";
  }
  return {};
}

}  // namespace

bool Engine::Impl::well_shaped(const NewOrder& command) {
  if (!takes(command.type, command.tif)) {
    fail(Code::BadTif, text("a ", name(command.type), " order does not take ", name(command.tif)),
         command.account, command.client_order_id);
    return false;
  }
  if (const std::string_view wrong = missing_or_idle(command); !wrong.empty()) {
    fail(Code::BadArguments, text("a ", name(command.type), " order ", wrong), command.account,
         command.client_order_id);
    return false;
  }
  return true;
}

void Engine::Impl::on(const NewOrder& given) {
  NewOrder command = given;
  if (command.type == OrderType::Market && command.tif == TimeInForce::Gtc) {
    command.tif = TimeInForce::Ioc;
  }
  if (!well_shaped(command)) {
    return;
  }
  Account* account = live_account(command.account, command.client_order_id);
  if (account == nullptr) {
    return;
  }
  if (command.expire != 0 && command.expire <= state_.clock) {
    fail(Code::BadExpire,
         text("expire ", std::to_string(command.expire), " is not after the clock ",
              std::to_string(state_.clock)),
         command.account, command.client_order_id);
  } else if (account->open_orders.find(command.client_order_id) != nullptr) {
    fail(Code::DuplicateOrder,
         text("account ", command.account, " has an open order ", command.client_order_id), command.account,
         command.client_order_id);
  } else {
    submit(command, *account);
  }
}

void Engine::Impl::submit(const NewOrder& command, Account& account) {
  Instrument* instrument = state_.instrument(command.symbol);
  if (instrument == nullptr) {
    outbox_.rejected(command, Code::UnknownSymbol);
    return;
  }
  Order& order = state_.orders.take();
  order.assign(command, account.holding(*instrument));
  if (const auto refusal = refusal_of_new(state_, order)) {
    state_.orders.give_back(order);
    outbox_.rejected(command, *refusal);
    return;
  }
  exchange_.accept(order);
}

void Engine::Impl::on(const CancelOrder& command) {
  Order* order = open_order(command.account, command.client_order_id);
  if (order == nullptr) {
    return;
  }
  const std::string& symbol = order->holding->instrument.symbol;
  if (!command.symbol.empty() && command.symbol != symbol) {
    fail(Code::NotFound,
         text("order ", command.client_order_id, " is of ", symbol, ", not of ", command.symbol),
         command.account, command.client_order_id);
    return;
  }
  exchange_.close(*order, Status::Cancelled, command.reason);
}

void Engine::Impl::on(const CancelAll& command) {
  if (command.account == kEveryAccount) {
    if (command.symbol.empty() || known_instrument(command.symbol) != nullptr) {
      for (const auto& [name, account] : state_.accounts) {
        cancel_all(*account, command);
      }
    }
  } else if (Account* account = live_account(command.account)) {
    if (command.symbol.empty() || known_instrument(command.symbol, command.account) != nullptr) {
      cancel_all(*account, command);
    }
  }
}

void Engine::Impl::cancel_all(Account& account, const CancelAll& command) {
  for (Order* order : account.orders_by_rank()) {
    if (command.symbol.empty() || order->holding->instrument.symbol == command.symbol) {
      exchange_.close(*order, Status::Cancelled, command.reason);
    }
  }
}

void Engine::Impl::on(const AmendOrder& command) {
  Order* order = open_order(command.account, command.client_order_id);
  if (order == nullptr) {
    return;
  }
  const Amendment wanted{command.qty.value_or(order->qty), command.price.value_or(order->price),
                         command.stop.value_or(order->stop)};
  auto refuse_amend = [&](Code code, std::string_view message) {
    fail(code, message, command.account, command.client_order_id);
  };
  if (wanted.qty <= order->executed) {
    refuse_amend(Code::BadAmend, text("qty ", decimal_text(wanted.qty), " is not above the executed ",
                                      decimal_text(order->executed)));
  } else if (command.price && order->type == OrderType::Stop) {
    refuse_amend(Code::BadAmend, "a STOP order has no price to amend");
  } else if (command.stop && !order->waiting()) {
    refuse_amend(Code::BadAmend, text("order ", command.client_order_id, " is no waiting stop"));
  } else if (wanted.nothing(*order)) {
    return;
  } else if (const auto refusal = refusal_of_amendment(state_, *order, wanted)) {
    refuse_amend(*refusal, amendment_refused(*refusal, *order, wanted));
  } else {
    exchange_.amend(*order, wanted);
  }
}

}  // namespace veloz
