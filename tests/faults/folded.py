"""What the log adds up to, in the tables' terms."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from app.fold import FoldError, State, fold
from app.money import to_decimal
from app.wire import decode_accounting
from tests.faults.facts import Facts

ACCOUNTING = frozenset({"order_update", "fill", "transfer"})
SYMBOLS = {"BTCUSDT": ("BTC", "USDT")}


class Folded(msgspec.Struct, frozen=True):
    """Balances (free, locked) by asset, positions (qty, cost, realised) by symbol, orders (status, qty, executed) by id."""

    balances: dict[str, tuple[Decimal, Decimal]] = {}
    positions: dict[str, tuple[Decimal, Decimal, Decimal]] = {}
    orders: dict[str, tuple[str, Decimal, Decimal]] = {}
    error: str = ""


def fold_tables(facts: Facts) -> Folded:
    """Fold the log from its first row; `error` says which event does not fit, and then nothing else is known."""
    state = State(facts.account)
    events = (decode_accounting(row.text) for row in facts.log if row.type in ACCOUNTING)
    try:
        fold(state, events, SYMBOLS)
    except (FoldError, msgspec.MsgspecError) as error:
        return Folded(error=str(error))
    locks = state.locks(SYMBOLS)
    return Folded(
        balances={
            asset: (to_decimal(total - locks.get(asset, 0)), to_decimal(locks.get(asset, 0)))
            for asset, total in state.totals.items()
        },
        positions={
            symbol: (to_decimal(one.qty), to_decimal(one.cost), to_decimal(one.realised))
            for symbol, one in state.positions.items()
        },
        orders={
            order_id: (order.status, to_decimal(order.qty), to_decimal(order.executed))
            for order_id, order in (state.orders | state.closed).items()
        },
    )


def digests_at(facts: Facts, places: Sequence[int]) -> dict[int, str]:
    """The digest of the log's fold after each event of `places`, as far as the log goes. FoldError, msgspec.MsgspecError."""
    state, wanted = State(facts.account), set(places)
    digests = {0: state.digest()} if 0 in wanted else {}
    for row in facts.log:
        if row.type in ACCOUNTING:
            fold(state, [decode_accounting(row.text)], SYMBOLS)
        if row.seq in wanted:
            digests[row.seq] = state.digest()
    return digests
