import asyncio
import gzip
import itertools
import time
import tracemalloc
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from app.feeds import SymbolSpec
from app.feeds.records import RecordError
from app.feeds.replay import ReplayFeed, read_file

BTCUSDT = SymbolSpec(symbol="BTCUSDT", base="BTC", quote="USDT", tick=1_000_000, lot=1_000)
TRADES = "ts_ms,trade_id,price,qty,buyer_maker\n"
QUOTES = "ts_ms,bid,bid_qty,ask,ask_qty\n"
DATA = Path(__file__).parents[2] / "data"
RECORDED = Path(__file__).parents[4] / "shared" / "data"


def csv(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def feed(*files: Path, speed: float = 0, loop: bool = False) -> ReplayFeed:
    return ReplayFeed(BTCUSDT, files, speed=speed, loop=loop)


async def play(source: ReplayFeed) -> list[str]:
    return [line async for line in source.commands()]


async def test_files_are_merged_by_time_and_equal_times_keep_the_files_order(tmp_path: Path) -> None:
    quotes = csv(tmp_path / "q.csv", QUOTES + "1,1,1,2,1\n3,1,2,2,2\n")
    trades = csv(tmp_path / "t.csv", TRADES + "2,1,5,6,true\n3,2,7,8,false\n")
    assert await play(feed(quotes, trades)) == [
        "QUOTE BTCUSDT 1 1 2 1 event_ts=1000000",
        "TRADE BTCUSDT 5 6 event_ts=2000000",
        "QUOTE BTCUSDT 1 2 2 2 event_ts=3000000",
        "TRADE BTCUSDT 7 8 event_ts=3000000",
    ]


async def test_trades_alone_are_followed_by_inferred_quotes(tmp_path: Path) -> None:
    trades = csv(tmp_path / "t.csv", TRADES + "2,1,5,6,true\n3,2,7,8,false\n")
    assert await play(feed(trades)) == [
        "TRADE BTCUSDT 5 6 event_ts=2000000",
        "QUOTE BTCUSDT 5 6 0 0 event_ts=2000000",
        "TRADE BTCUSDT 7 8 event_ts=3000000",
        "QUOTE BTCUSDT 5 6 7 8 event_ts=3000000",
    ]


async def test_gzip_is_read_as_it_is_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "packed.csv"
    path.write_bytes(gzip.compress((TRADES + "2,1,5,6,true\r\n").encode()))
    assert (await play(feed(path)))[0] == "TRADE BTCUSDT 5 6 event_ts=2000000"


async def test_the_recorded_pace_is_kept_and_a_factor_divides_it(tmp_path: Path) -> None:
    for milliseconds, speed in ((400, 1), (4000, 10)):
        quotes = csv(tmp_path / "q.csv", QUOTES + f"1000,1,1,2,1\n{1000 + milliseconds},1,1,2,1\n")
        started = time.monotonic()
        await play(feed(quotes, speed=speed))
        assert 0.38 <= time.monotonic() - started < 2


async def test_it_starts_again_when_told_to_loop(tmp_path: Path) -> None:
    trades = csv(tmp_path / "t.csv", QUOTES + "1,1,1,2,1\n2,1,1,2,2\n")
    lines = []
    async with aclosing(feed(trades, loop=True).commands()) as commands:
        async for line in commands:
            lines.append(line)
            if len(lines) == 5:
                break
    assert lines[0] == lines[2] == lines[4] != lines[1] == lines[3]


async def test_replaying_as_fast_as_possible_leaves_room_for_others(tmp_path: Path) -> None:
    trades = csv(tmp_path / "t.csv", QUOTES + "1,1,1,2,1\n" * 5000)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await play(feed(trades))
    task.cancel()
    assert turns >= 10


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = csv(tmp_path / "t.csv", TRADES + "".join(f"{n},1,5,6,true\n" for n in range(1, 30_000)))
    tracemalloc.start()
    assert sum(1 for _ in read_file(path)) == 29_999
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < path.stat().st_size / 4


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty, needs a header"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"\x1f\x8b\x08broken", "cannot be read"),
        (TRADES.encode(), "no rows below the header"),
        ((TRADES + "1,1,nan,1,true\n").encode(), "line 2, price: 'nan'"),
    ],
)
def test_a_bad_file_is_refused_when_the_feed_is_made(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=expected):
        feed(path)


def test_a_missing_file_and_a_bad_speed_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"absent\.csv: cannot be read: .*No such file"):
        feed(tmp_path / "absent.csv")
    with pytest.raises(RecordError, match="speed -1"):
        feed(csv(tmp_path / "t.csv", TRADES), speed=-1)
    with pytest.raises(RecordError, match="no file"):
        feed()


async def test_a_wrong_row_further_on_is_raised_where_it_is_met(tmp_path: Path) -> None:
    path = csv(tmp_path / "t.csv", QUOTES + "1,1,1,2,1\n2,1,1,x,1\n")
    source = feed(path)
    with pytest.raises(RecordError, match="line 3, ask: 'x'"):
        await play(source)


@pytest.mark.parametrize(
    ("folder", "files", "lines"),
    [
        (DATA, ["synthetic-trades.csv"], 3000),
        (RECORDED, ["btcusdt-trades-2021-01-08.csv", "btcusdt-quotes-2021-01-08.csv"], 2452),
    ],
)
async def test_whole_recordings_are_played(folder: Path, files: Sequence[str], lines: int) -> None:
    paths = [folder / name for name in files]
    if not all(path.exists() for path in paths):
        pytest.skip(f"no recordings in {folder}")
    played = await play(feed(*paths))
    assert len(played) == lines
    times = [int(line.rpartition("event_ts=")[2]) for line in played]
    assert all(before <= after for before, after in itertools.pairwise(times))
