"""The order of a smoke test: where it rests, and which refusals prove as much as its acceptance."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_DOWN, Decimal
from http import HTTPStatus
from typing import Any, Final

from app.errors import RiskRejected
from app.settings import Instrument, Settings
from app.wire import RISK_REASONS

_BPS: Final = 10_000
# How far below the market it bids, as parts of the market's price.
_FAR: Final = Decimal("0.5")
_LEAST: Final = Decimal("0.01")
_OF_BAND: Final = Decimal("0.8")  # the market moves on before the order arrives
_LOTS: Final = 100
# Where these are the reason, the gateways trade in other steps than the description has.
_DECIDED: Final = RISK_REASONS - {"BAD_TICK", "BAD_LOT"}


def bid(symbol: str, price: Decimal, band_bps: Decimal, instruments: Sequence[Instrument] = ()) -> dict[str, str]:
    """A small bid that rests, in the symbol's own steps, without an id. `price`: the market's; `band_bps` 0: no band.

    It is within the band, unless one that narrow would bring it to the market: then it is outside, to be refused.
    """
    usual = Settings(postgres_dsn="", market_symbol=(symbol,)).symbols
    instrument = next(one for one in (*instruments, *usual) if one.symbol == symbol)
    tick, lot = Decimal(instrument.tick), Decimal(instrument.lot)
    ticks = (price * (1 - _below(band_bps)) / tick).to_integral_value(ROUND_DOWN)
    resting = {"qty": format(lot * _LOTS, "f"), "price": format(max(ticks, Decimal(1)) * tick, "f")}
    return {"side": "BUY", "symbol": symbol, "type": "LIMIT"} | resting


def _below(band_bps: Decimal) -> Decimal:
    within = band_bps / _BPS * _OF_BAND
    return within if _LEAST <= within < _FAR else _FAR


def refusal(status: int, body: Any) -> str | None:  # noqa: ANN401 - any JSON value
    """The reason for which the engine's risk checks refused an order, None where nothing of the kind is in the log.

    Gateway, log and engine did their work then: limits and kill switches are the account's, and no fault of a deployment.
    """
    if status != HTTPStatus.UNPROCESSABLE_ENTITY or not isinstance(body, dict):
        return None
    reason, recorded = str(body.get("reason")), isinstance(body.get("seq"), int)
    return reason if recorded and body.get("error") == RiskRejected.code and reason in _DECIDED else None
