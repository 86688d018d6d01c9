"""The market as it was recorded: CSV files of trades and quotes, merged by time, at any speed.

With trades alone, quotes are inferred from the aggressor's side (`records.InferredQuotes`). Files are read as they are
played, so their size does not matter; `.gz` is read as it is.
"""

from __future__ import annotations

import asyncio
import gzip
import heapq
import zlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from operator import attrgetter
from pathlib import Path

from app.feeds import SymbolSpec
from app.feeds.records import InferredQuotes, Quote, Record, RecordError, Trade, command, read_records

_GZIP_MAGIC = b"\x1f\x8b"
_YIELD_EVERY = 256


class ReplayFeed:
    """Plays recordings of one symbol.

    `speed` 1 is as recorded, N is N times faster, 0 as fast as the consumer takes it. With `loop` it starts again at
    the end; the recorded times come again too. Construction raises RecordError when a file cannot be read or its header
    or first row is wrong; a wrong row further on is raised where it is met.
    """

    name = "replay"

    def __init__(self, symbol: SymbolSpec, files: Sequence[Path], *, speed: float = 1.0, loop: bool = False) -> None:
        if not files:
            raise RecordError("no file to replay: name at least one CSV of trades or quotes")
        if not 0 <= speed < float("inf"):
            raise RecordError(f"speed {speed}: must be 0 (as fast as possible) or a positive factor")
        self.symbols: Sequence[SymbolSpec] = (symbol,)
        self._files = tuple(files)
        self._speed = speed
        self._loop = loop
        first = [next(read_file(path), None) for path in self._files]
        if not any(first):
            raise RecordError(f"{', '.join(map(str, files))}: no rows below the header")
        self._infer = not any(isinstance(record, Quote) for record in first)

    async def commands(self) -> AsyncGenerator[str]:
        while True:
            async for line in self._play():
                yield line
            if not self._loop:
                return

    async def _play(self) -> AsyncGenerator[str]:
        clock = asyncio.get_running_loop().time
        symbol = self.symbols[0].symbol
        quotes = InferredQuotes()
        started = first_ts = None
        for count, record in enumerate(merge(self._files)):
            if started is None or first_ts is None:
                started, first_ts = clock(), record.ts_ms
            ahead = started + (record.ts_ms - first_ts) / 1000 / self._speed - clock() if self._speed else 0
            if ahead > 0 or count % _YIELD_EVERY == 0:
                await asyncio.sleep(max(ahead, 0))
            yield command(symbol, record)
            if self._infer and isinstance(record, Trade):
                yield command(symbol, quotes.after(record))


def merge(files: Sequence[Path]) -> Iterator[Record]:
    """Records of all files by time; among equal times the order of the files."""
    return heapq.merge(*(read_file(path) for path in files), key=attrgetter("ts_ms"))


def read_file(path: Path) -> Iterator[Record]:
    """Read one recording, plain or gzip, lazily. RecordError when it cannot be read or a row breaks a rule."""
    try:
        with path.open("rb") as raw:
            compressed = raw.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        opened = gzip.open if compressed else open
        with opened(path, "rt", encoding="utf-8-sig", newline="") as lines:
            yield from read_records(lines, str(path))
    except UnicodeDecodeError as error:
        raise RecordError(f"{path}: not UTF-8 text ({error.reason})") from error
    except (OSError, EOFError, zlib.error) as error:
        raise RecordError(f"{path}: cannot be read: {error}") from error
