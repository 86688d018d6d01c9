"""Recorded trades and quotes: CSV rows into exact records, and records into the engine's commands. Pure."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator

import msgspec

from app.money import format_units, parse_units

TRADE_COLUMNS = ("ts_ms", "price", "qty", "buyer_maker")
QUOTE_COLUMNS = ("ts_ms", "bid", "bid_qty", "ask", "ask_qty")

NS_PER_MS = 1_000_000
_MAX_TS_MS = (2**63 - 1) // NS_PER_MS
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


class RecordError(ValueError):
    """A file that is no recording; the message names file, line, column, value and rule."""


class Trade(msgspec.Struct, frozen=True):
    """One print; `buyer_maker` is true when the seller was the aggressor. Amounts in 1e-8 units."""

    ts_ms: int
    price: int
    qty: int
    buyer_maker: bool


class Quote(msgspec.Struct, frozen=True):
    """Best bid and ask; a side whose numbers are both 0 is absent. Amounts in 1e-8 units."""

    ts_ms: int
    bid: int
    bid_qty: int
    ask: int
    ask_qty: int


Record = Trade | Quote
Row = dict[str, str]


def read_records(lines: Iterable[str], source: str) -> Iterator[Record]:
    """Read the rows of one CSV file, lazily. The header says what they are; columns beyond the known ones are ignored.

    Raises RecordError at the first row that breaks a rule; the header is judged before the first record.
    """
    reader = csv.reader(lines, skipinitialspace=True)
    header = _header(reader, source)
    parse = _parser(header, source)
    last_ts = 0
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"{source}, line {reader.line_num}"
            if len(cells) != len(header):
                raise RecordError(f"{where}: {len(cells)} columns, the header has {len(header)}")
            record = _parse_row(parse, dict(zip(header, (cell.strip() for cell in cells), strict=True)), where)
            if record.ts_ms < last_ts:
                raise RecordError(f"{where}, ts_ms {record.ts_ms}: must not be before the row above ({last_ts})")
            last_ts = record.ts_ms
            yield record
    except csv.Error as error:
        raise RecordError(f"{source}, line {reader.line_num}: {error}") from error


def _header(reader: Iterator[list[str]], source: str) -> list[str]:
    for cells in reader:
        if any(cell.strip() for cell in cells):
            return [cell.strip().lower() for cell in cells]
    raise RecordError(f"{source}: empty, needs a header line {','.join(TRADE_COLUMNS)} or {','.join(QUOTE_COLUMNS)}")


def _parser(header: list[str], source: str) -> Callable[[Row], Record]:
    repeated = sorted({column for column in header if header.count(column) > 1})
    if repeated:
        raise RecordError(f"{source}: column {repeated[0]!r} is there twice")
    if set(header) >= set(QUOTE_COLUMNS):
        return _quote
    if set(header) >= set(TRADE_COLUMNS):
        return _trade
    raise RecordError(
        f"{source}: header {','.join(header)!r} has neither the columns of trades ({','.join(TRADE_COLUMNS)}) "
        f"nor of quotes ({','.join(QUOTE_COLUMNS)})"
    )


def _parse_row(parse: Callable[[Row], Record], row: Row, where: str) -> Record:
    try:
        return parse(row)
    except ValueError as error:
        raise RecordError(f"{where}, {error}") from error


def _trade(row: Row) -> Trade:
    truth = _TRUTH.get(row["buyer_maker"].lower())
    if truth is None:
        raise ValueError(f"buyer_maker {row['buyer_maker']!r}: must be true or false")
    return Trade(_ts_ms(row), _positive(row, "price"), _positive(row, "qty"), truth)


def _quote(row: Row) -> Quote:
    bid, bid_qty, ask, ask_qty = (_units(row, column) for column in QUOTE_COLUMNS[1:])
    for side, price, qty in (("bid", bid, bid_qty), ("ask", ask, ask_qty)):
        if (price == 0) != (qty == 0):
            raise ValueError(f"{side} {row[side]} with {side}_qty {row[side + '_qty']}: an absent side has 0 in both")
    return Quote(_ts_ms(row), bid, bid_qty, ask, ask_qty)


def _ts_ms(row: Row) -> int:
    text = row["ts_ms"]
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(_MAX_TS_MS)) and 0 < int(text) <= _MAX_TS_MS):
        raise ValueError(f"ts_ms {text!r}: must be whole Unix milliseconds, 1 to {_MAX_TS_MS}")
    return int(text)


def _units(row: Row, column: str) -> int:
    try:
        return parse_units(row[column])
    except ValueError as error:
        raise ValueError(f"{column}: {error}") from error


def _positive(row: Row, column: str) -> int:
    units = _units(row, column)
    if units == 0:
        raise ValueError(f"{column} {row[column]}: must be greater than 0")
    return units


class InferredQuotes:
    """Best quotes guessed from prints alone, so that MARKET orders find a book where no quotes were recorded.

    A buyer who took printed at the ask, a seller who took at the bid, and the printed quantity is what is known to
    have been there. When the two meet or cross, the older one is gone.
    """

    def __init__(self) -> None:
        self._bid = self._ask = (0, 0)

    def after(self, trade: Trade) -> Quote:
        printed = (trade.price, trade.qty)
        if trade.buyer_maker:
            self._bid = printed
            if self._ask[0] <= trade.price:
                self._ask = (0, 0)
        else:
            self._ask = printed
            if self._bid[0] >= trade.price:
                self._bid = (0, 0)
        return Quote(trade.ts_ms, *self._bid, *self._ask)


def command(symbol: str, record: Record) -> str:
    """The engine's line for a record (docs/engine_protocol.md, section 6)."""
    event_ts = f"event_ts={record.ts_ms * NS_PER_MS}"
    if isinstance(record, Trade):
        return f"TRADE {symbol} {format_units(record.price)} {format_units(record.qty)} {event_ts}"
    levels = (record.bid, record.bid_qty, record.ask, record.ask_qty)
    return f"QUOTE {symbol} {' '.join(format_units(units) for units in levels)} {event_ts}"
