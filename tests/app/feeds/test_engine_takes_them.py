"""The real engine understands every line of every source, and finds no fault in the markets."""

import itertools
import json
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from app.feeds import SymbolSpec
from app.feeds.records import InferredQuotes, Trade, command
from app.feeds.replay import merge
from app.feeds.sim import SimFeed

BTCUSDT = SymbolSpec(symbol="BTCUSDT", base="BTC", quote="USDT", tick=1_000_000, lot=1_000)
DATA = Path(__file__).parents[2] / "data"
RECORDED = Path(__file__).parents[4] / "shared" / "data"


def events(engine: Path, lines: list[str]) -> Counter[str]:
    """How often the engine said what, to these lines."""
    text = "\n".join(["SYMBOL BTCUSDT base=BTC quote=USDT tick=0.01 lot=0.00001", *lines, ""])
    done = subprocess.run([engine], input=text.encode(), capture_output=True, check=True, timeout=60)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    return Counter(event.get("code") or event.get("status") or event["type"] for event in said)


def test_a_simulated_market_has_no_gap_and_is_never_crossed(engine_binary: Path) -> None:
    steps = itertools.islice(SimFeed([BTCUSDT], seed=3).lines(), 5_000)
    assert events(engine_binary, [line for step in steps for line in step]) == {
        "ready": 1,
        "SYNCED": 1,
        "market": 10_000,
    }


@pytest.mark.parametrize(
    "files", [["synthetic-trades.csv"], ["synthetic-quotes.csv"], ["synthetic-trades.csv", "synthetic-quotes.csv"]]
)
def test_the_bundled_recordings_are_understood(engine_binary: Path, files: list[str]) -> None:
    records = list(merge([DATA / name for name in files]))
    lines = [command("BTCUSDT", record) for record in records]
    said = events(engine_binary, lines)
    assert said["market"] == len(lines) - said["CROSSED"]
    assert set(said) <= {"ready", "market"}


def test_inferred_quotes_are_never_crossed(engine_binary: Path) -> None:
    recorded = RECORDED / "btcusdt-trades-2021-01-08.csv"
    path = recorded if recorded.exists() else DATA / "synthetic-trades.csv"
    quotes = InferredQuotes()
    trades = [record for record in merge([path]) if isinstance(record, Trade)]
    lines = [line for trade in trades for line in (command("BTCUSDT", trade), command("BTCUSDT", quotes.after(trade)))]
    assert set(events(engine_binary, lines)) == {"ready", "market"}
