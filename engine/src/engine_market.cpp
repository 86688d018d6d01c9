#include "engine_impl.hpp"
#include "text.hpp"

/// Market data (section 6).
namespace veloz {

void Engine::Impl::on(const Print& command) {
  Instrument* instrument = known_instrument(command.symbol);
  if (instrument == nullptr) {
    return;
  }
  instrument->last = PriceQty{command.price, command.qty};
  exchange_.print(*instrument, *instrument->last);
  answer_market(*instrument, command.event_ts);
}

void Engine::Impl::on(const Quote& command) {
  Instrument* instrument = known_instrument(command.symbol);
  if (instrument == nullptr) {
    return;
  }
  if (instrument->book.has_snapshot()) {
    fail(Code::BookIsDepth, text("the book of ", command.symbol, " comes from DEPTH and takes no QUOTE"));
    return;
  }
  const BookChange change =
      instrument->book.quote({command.bid, command.bid_qty}, {command.ask, command.ask_qty});
  after_book_change(*instrument, change, command.event_ts);
}

void Engine::Impl::on(const DepthSnapshot& command) {
  if (Instrument* instrument = known_instrument(command.symbol)) {
    const BookChange change = instrument->book.snapshot(command.last_id, command.bids, command.asks);
    after_book_change(*instrument, change, command.event_ts);
  }
}

void Engine::Impl::on(const DepthUpdate& command) {
  if (command.first_id > command.last_id) {
    fail(Code::BadArguments, text("first_id ", std::to_string(command.first_id), " is greater than last_id ",
                                  std::to_string(command.last_id)));
    return;
  }
  if (Instrument* instrument = known_instrument(command.symbol)) {
    const BookChange change =
        instrument->book.update(command.first_id, command.last_id, command.bids, command.asks);
    after_book_change(*instrument, change, command.event_ts, command.first_id);
  }
}

void Engine::Impl::after_book_change(Instrument& instrument, BookChange change, std::optional<Nanos> event_ts,
                                     std::optional<std::int64_t> first_id) {
  BookEvent event;
  event.symbol = instrument.symbol;
  event.ts = event_ts.value_or(state_.clock);
  switch (change) {
    case BookChange::Ignored:
      return;
    case BookChange::Gap:
      event.status = BookStatus::Gap;
      event.expected = instrument.book.expected_id();
      event.got = first_id;
      break;
    case BookChange::Crossed:
      event.status = BookStatus::Crossed;
      break;
    case BookChange::Synced:
    case BookChange::Changed:
      exchange_.book_changed(instrument);
      break;
  }
  outbox_.settle();
  if (change != BookChange::Changed) {
    sink().book(event);
  }
  if (change == BookChange::Synced || change == BookChange::Changed) {
    answer_market(instrument, event_ts);
  }
}

void Engine::Impl::answer_market(const Instrument& instrument, std::optional<Nanos> event_ts) {
  outbox_.settle();
  sink().market({.symbol = instrument.symbol,
                 .ts = event_ts.value_or(state_.clock),
                 .last = instrument.last,
                 .bid = instrument.book.best(Side::Buy),
                 .ask = instrument.book.best(Side::Sell)});
}

}  // namespace veloz
