"""A migrated database, and exchanges on it that end with the test."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from prometheus_client import CollectorRegistry
from psycopg import sql
from psycopg.conninfo import make_conninfo

from app.commands import NewOrder, Side
from app.database import Connection, connect
from app.exchange import Exchange
from app.exchange_config import ExchangeConfig
from app.feeds import SymbolSpec
from app.metrics_core import CoreMetrics
from app.migrate import migrate
from app.money import parse_units

SYMBOL = SymbolSpec(symbol="BTCUSDT", base="BTC", quote="USDT", tick=parse_units("0.01"), lot=parse_units("0.00001"))


class QueueFeed:
    """The lines a test puts in."""

    name = "queue"

    def __init__(self) -> None:
        self.symbols: Sequence[SymbolSpec] = [SYMBOL]
        self.lines: asyncio.Queue[str] = asyncio.Queue()

    async def commands(self) -> AsyncIterator[str]:
        while True:
            yield await self.lines.get()


class TestExchange(Exchange):
    """An exchange with its feed in reach."""

    __test__ = False
    feed: QueueFeed

    async def print(self, price: str, qty: str) -> None:
        """A trade on the market; returns when its consequences are committed."""
        before = self.markets.get("BTCUSDT")
        self.feed.lines.put_nowait(f"TRADE BTCUSDT {price} {qty}")
        await until(lambda: self.markets.get("BTCUSDT") is not before)


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Return when it holds; fail when it does not in time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for lies in other parts
            await asyncio.sleep(0.002)


def resting(name: str, account: str = "main") -> NewOrder:
    """A small order far from any market."""
    qty, price = parse_units("0.001"), parse_units("5")
    return NewOrder(account=account, client_order_id=name, side=Side.BUY, symbol="BTCUSDT", qty=qty, price=price)


async def place(exchange: Exchange, orders: Sequence[NewOrder]) -> None:
    """Submit them, some at a time."""
    todo = iter(orders)

    async def submit() -> None:
        for order in todo:
            await exchange.submit(order, key_id=None)

    await asyncio.gather(*[submit() for _ in range(256)])


@pytest.fixture
async def connection(database: str) -> AsyncIterator[Connection]:
    async with await connect(database, statement_timeout=5, name="test") as one:
        yield one


@pytest.fixture
def config(database: str, engine_binary: Path) -> ExchangeConfig:
    return make_config(database, engine_binary)


@asynccontextmanager
async def run_exchange(settings: ExchangeConfig, *, clean: bool = False) -> AsyncIterator[TestExchange]:
    """An exchange, started; at the end closed, drained before when `clean`."""
    feed = QueueFeed()
    exchange = TestExchange(settings, feed, CoreMetrics(CollectorRegistry()))
    exchange.feed = feed
    try:
        await exchange.start()
        yield exchange
        if clean:
            await exchange.drain(10)
    finally:
        await exchange.close()


def make_config(dsn: str, engine: Path) -> ExchangeConfig:
    balances = {"USDT": parse_units("1000000"), "BTC": parse_units("10")}
    return ExchangeConfig(postgres_dsn=dsn, engine_path=engine, paper_balances=balances, pool_size=3)


@pytest.fixture
def running(config: ExchangeConfig) -> Callable[..., AbstractAsyncContextManager[TestExchange]]:
    """`async with running() as exchange`. Twice in one test is a restart."""

    def run(settings: ExchangeConfig = config, *, clean: bool = False) -> AbstractAsyncContextManager[TestExchange]:
        return run_exchange(settings, clean=clean)

    return run


@pytest.fixture
async def exchange(
    running: Callable[[], AbstractAsyncContextManager[TestExchange]],
) -> AsyncIterator[TestExchange]:
    async with running() as one:
        assert one.ready, one.components()
        yield one


Trade = Callable[[TestExchange], Awaitable[None]]


@pytest.fixture(scope="session")
def template_of(postgres: str, engine_binary: Path) -> Iterator[Callable[[str, Trade], str]]:
    """Makes, once for each name, a database in which something was traded; a test's own is copied from it."""
    made: set[str] = set()

    async def trade(dsn: str, what: Trade) -> None:
        await migrate(dsn)
        async with run_exchange(make_config(dsn, engine_binary)) as exchange:
            assert exchange.ready, exchange.components()
            await what(exchange)

    with psycopg.connect(postgres, autocommit=True) as server:

        def make(name: str, what: Trade) -> str:
            if name not in made:
                server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
                asyncio.run(trade(make_conninfo(postgres, dbname=name), what))
                made.add(name)
            return name

        yield make
