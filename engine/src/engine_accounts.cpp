#include "digest.hpp"
#include "engine_impl.hpp"
#include "text.hpp"

/// Set-up, accounts and the commands about the engine itself (section 4).
namespace veloz {

void Engine::Impl::on(const DefineSymbol& command) {
  if (command.base == command.quote) {
    fail(Code::BadArguments, text("base and quote are both ", command.base, "; they must differ"));
    return;
  }
  Instrument* instrument = state_.instrument(command.symbol);
  if (instrument == nullptr) {
    auto made = std::make_unique<Instrument>();
    made->symbol = command.symbol;
    made->base = command.base;
    made->quote = command.quote;
    made->number = state_.instruments.size();
    instrument = made.get();
    state_.instruments.emplace(command.symbol, std::move(made));
  } else if (instrument->base != command.base || instrument->quote != command.quote) {
    fail(Code::SymbolExists, text("symbol ", command.symbol, " trades ", instrument->base, " for ",
                                  instrument->quote, ", which cannot change"));
    return;
  }
  instrument->tick = command.tick;
  instrument->lot = command.lot;
  instrument->min_qty = command.min_qty;
  instrument->max_qty = command.max_qty;
  instrument->min_notional = command.min_notional;
}

Account& Engine::Impl::add_account(std::string_view name) {
  auto account = std::make_unique<Account>();
  account->name = name;
  account->serial = state_.next_serial++;
  return *state_.accounts.emplace(name, std::move(account)).first->second;
}

void Engine::Impl::on(const OpenAccount& command) {
  if (state_.account(command.account) == nullptr) {
    add_account(command.account);
  } else if (live_account(command.account) != nullptr) {
    fail(Code::AccountExists, text("account ", command.account, " is there already"), command.account);
  }
}

void Engine::Impl::on(const TransferFunds& command) {
  Account* account = live_account(command.account);
  if (account == nullptr) {
    return;
  }
  const auto known = account->balances.find(command.asset);
  const Balance before = known == account->balances.end() ? Balance{} : known->second;
  if (command.amount < 0 && before.free() < -command.amount) {
    fail(Code::InsufficientFunds,
         text("account ", command.account, " has ", decimal_text(before.free()), " ", command.asset,
              " free, less than ", decimal_text(-command.amount)),
         command.account);
    return;
  }
  const Int128 total = Int128{before.total} + command.amount;
  if (!fits(total)) {
    fail(Code::Overflow,
         text("a total of ", decimal_text(total), " ", command.asset, " does not fit in 64 bits"),
         command.account);
    return;
  }
  account->balances[std::string(command.asset)].total = static_cast<Units>(total);
  outbox_.transfer(*account, command.asset, command.amount, command.ref);
}

void Engine::Impl::on(const SetLimits& command) {
  if (command.account == kEveryAccount) {
    state_.kill = command.kill.value_or(state_.kill);
    outbox_.settle();
    sink().limits({.account = kEveryAccount, .ts = state_.clock, .kill = state_.kill});
    return;
  }
  if (Account* account = live_account(command.account)) {
    account->limits.change(command);
    answer_limits(*account);
  }
}

void Engine::Impl::answer_limits(const Account& account) {
  outbox_.settle();
  const Limits& limits = account.limits;
  sink().limits({.account = account.name,
                 .ts = state_.clock,
                 .maker_fee_bps = limits.maker_fee_bps,
                 .taker_fee_bps = limits.taker_fee_bps,
                 .max_order_qty = limits.max_order_qty,
                 .max_notional = limits.max_notional,
                 .price_band_bps = limits.price_band_bps,
                 .max_open_orders = limits.max_open_orders,
                 .max_position = limits.max_position,
                 .order_rate = limits.order_rate,
                 .daily_loss = limits.daily_loss,
                 .kill = limits.kill});
}

void Engine::Impl::on(const HashAccount& command) {
  if (const Account* account = live_account(command.account)) {
    answer_hash(*account);
  }
}

void Engine::Impl::answer_hash(const Account& account) {
  outbox_.settle();
  sink().hash({account.name, state_hash(account), account.open_orders.size()});
}

void Engine::Impl::on(const ShowState& command) {
  if (const Account* account = live_account(command.account)) {
    outbox_.settle();
    for (const Order* order : account->orders_by_rank()) {
      outbox_.order_state(*order);
    }
    outbox_.account(*account);
  }
}

void Engine::Impl::on(const ForgetAccount& command) {
  Account* account = state_.account(command.account);
  if (account == nullptr) {
    live_account(command.account);
    return;
  }
  outbox_.settle();
  if (const auto restore = restores_.find(command.account); restore != restores_.end()) {
    restores_.erase(restore);
  }
  exchange_.forget(*account);
}

void Engine::Impl::on(const ShowStats&) {
  outbox_.settle();
  sink().stats({.uptime = state_.clock - *first_clock_,
                .commands = commands_,
                .errors = errors_,
                .orders = state_.accepted,
                .fills = state_.fills,
                .accounts = state_.accounts.size(),
                .open_orders = state_.open_orders,
                .symbols = state_.instruments.size()});
}

void Engine::Impl::on(const Ping& command) {
  outbox_.settle();
  sink().pong({state_.clock, command.token});
}

}  // namespace veloz
