#include "risk_text.hpp"

#include "text.hpp"

namespace veloz {
namespace {

std::string rule(Code code, const Holding& holding) {
  const Instrument& instrument = holding.instrument;
  const Limits& limits = holding.account.limits;
  switch (code) {
    case Code::KillSwitch:
      return "the kill switch allows a smaller qty only";
    case Code::BadTick:
      return "prices must be multiples of the tick " + decimal_text(instrument.tick);
    case Code::BadLot:
      return text("qty must be a multiple of the lot ", decimal_text(instrument.lot), " between min_qty ",
                  decimal_text(instrument.min_qty), " and max_qty ", decimal_text(instrument.max_qty),
                  " (0: none)");
    case Code::MaxOrderQty:
      return "qty must not exceed max_order_qty " + decimal_text(limits.max_order_qty);
    case Code::Overflow:
      return "the notional does not fit in 64 bits";
    case Code::MinNotional:
      return "the notional must reach min_notional " + decimal_text(instrument.min_notional);
    case Code::MaxNotional:
      return "the notional must not exceed max_notional " + decimal_text(limits.max_notional);
    case Code::PriceBand:
      return text("the price must be within ", decimal_text(limits.price_band_bps), " bps of the last print ",
                  decimal_text(instrument.last ? instrument.last->price : 0));
    case Code::PositionLimit:
      return "the position must not exceed max_position " + decimal_text(limits.max_position);
    case Code::InsufficientFunds:
      return "the account's free balance does not cover it";
    case Code::PostOnlyWouldTake:
      return "a GTX order must not cross the book";
    case Code::SelfTrade:
      return "it would cross an own resting order";
    default:
      return std::string(name(code));
  }
}

}  // namespace

std::string amendment_refused(Code code, const Order& order, const Amendment& wanted) {
  return text("qty ", decimal_text(wanted.qty), ", price ", decimal_text(wanted.price), ", stop ",
              decimal_text(wanted.stop), " refused: ", rule(code, *order.holding));
}

}  // namespace veloz
