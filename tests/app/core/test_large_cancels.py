"""Cancelling more open orders than one command may: in slices, each committed, so that no size is too large."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from psycopg import OperationalError

from app import open_orders
from app.borrow import borrowed
from app.commands import Amend, Answer, CancelAll, Status
from app.database import Connection, Pool
from app.errors import ExecutionUnavailable, NotFound, Unknown, VelozError
from app.exchange_config import ExchangeConfig
from app.feeds import SymbolSpec
from app.fencing import shard_of
from app.limits import Limits
from app.money import parse_units as units
from app.open_orders import FEW, SLICE, SLICES
from app.tables import rows
from app.tenure import Place, Tenure, TenureLost
from app.wal import OrderLog
from app.wal_rows import Append
from tests.app.core.conftest import SYMBOL, TestExchange, place, resting, until
from tests.app.core.slow_engine import make_slow_engine

Running = Callable[..., AbstractAsyncContextManager[TestExchange]]

MANY = 5 * SLICE + 20
WIDEST = 2000  # events in one commit
ALL = CancelAll(account="main")
_BY_RANK = b"SELECT client_order_id FROM orders WHERE account = 'main' ORDER BY rank"
_STATES = b"SELECT status, reason, count(*) FROM orders GROUP BY status, reason ORDER BY status, reason"


@pytest.fixture
def patient(config: ExchangeConfig) -> ExchangeConfig:
    """Answers are waited for, however busy the machine is."""
    return msgspec.structs.replace(config, submit_timeout=60.0)


@pytest.fixture
async def exchange(running: Running, patient: ExchangeConfig) -> AsyncIterator[TestExchange]:
    async with running(patient) as one:
        yield one


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many events each commit had."""
    sizes: list[int] = []
    commit = OrderLog._commit

    async def counted(log: OrderLog, group: Sequence[Append]) -> int:
        sizes.append(sum(len(append.entries) for append in group))
        return await commit(log, group)

    monkeypatch.setattr(OrderLog, "_commit", counted)
    return sizes


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """The lines of each request to the engine."""
    made: list[Sequence[str]] = []
    request = Tenure.request

    def noted(tenure: Tenure, lines: Sequence[str], **more: Any) -> Any:  # noqa: ANN401
        made.append(lines)
        return request(tenure, lines, **more)

    monkeypatch.setattr(Tenure, "request", noted)
    return made


def names(answers: Sequence[Answer]) -> list[str]:
    return [answer.client_order_id for answer in answers]


def orders(count: int, account: str = "main") -> list[Any]:
    return [resting(f"x{number}", account) for number in range(count)]


async def test_very_many_are_cancelled_in_rank_order_by_no_wide_commit(
    exchange: TestExchange, connection: Connection, commits: list[int]
) -> None:
    await place(exchange, orders(MANY))
    await exchange.amend(Amend(account="main", client_order_id="x7", price=units("6")))  # the last rank
    ranked = [row[0] for row in await rows(connection, _BY_RANK)]
    assert ranked[-1] == "x7"
    commits.clear()
    answers = await exchange.cancel_all(ALL)
    assert names(answers) == ranked
    assert {(answer.status, answer.reason) for answer in answers} == {(Status.CANCELLED, "USER")}
    [(head,)] = await rows(connection, b"SELECT seq FROM accounts WHERE account = 'main'")
    assert {answer.seq for answer in answers} == {head}, "the command's last event, not a slice's"
    assert max(commits) <= WIDEST
    assert await rows(connection, _STATES) == [("CANCELLED", "USER", MANY)]
    assert await exchange.cancel_all(ALL) == []


@pytest.mark.parametrize("count", [3, FEW + 1])
async def test_few_are_one_command_and_nothing_is_read(
    exchange: TestExchange, requests: list[Sequence[str]], count: int
) -> None:
    await place(exchange, orders(count))
    requests.clear()
    asked = exchange.pool.get_stats()["requests_num"]
    assert len(await exchange.cancel_all(ALL)) == count
    assert [line.split()[0] for lines in requests for line in lines] == ["CANCEL_ALL"]
    assert exchange.pool.get_stats()["requests_num"] == asked


async def test_a_slow_engine_cancels_in_slices_what_one_command_never_would(
    patient: ExchangeConfig, running: Running, connection: Connection, tmp_path: Path
) -> None:
    """One command keeps the heartbeat waiting for 2 s of the 1 s that it has, a slice for 0.4 s."""
    slow = make_slow_engine(patient.engine_path, tmp_path / "engine", 2.0 / MANY)
    async with running(msgspec.structs.replace(patient, engine_path=slow)) as exchange:
        await place(exchange, orders(MANY))
        with pytest.raises(TenureLost):
            await exchange._supervisor.current().request([f"CANCEL_ALL acct=main ts={time.time_ns()}"])
        await until(lambda: not exchange.ready)
        assert await rows(connection, _STATES) == [("ACCEPTED", "", MANY)], "all are open again"
        await until(lambda: exchange.ready)
        tenure = exchange._supervisor.current()
        assert len(await exchange.cancel_all(ALL)) == MANY
        assert exchange._supervisor.current() is tenure
    assert await rows(connection, _STATES) == [("CANCELLED", "USER", MANY)]


async def test_a_tenure_that_ends_between_slices_leaves_the_rest_open_and_the_answer_unknown(
    exchange: TestExchange, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place(exchange, orders(MANY))
    killed: list[int] = []

    async def kill_once() -> None:
        if not killed:
            killed.append(exchange._supervisor.current().engine_pid)
            os.kill(killed[0], signal.SIGKILL)

    after_slice(monkeypatch, kill_once)
    with pytest.raises(Unknown, match="the orders of main under way"):
        await exchange.cancel_all(ALL)
    await until(lambda: exchange.ready)
    done = await rows(connection, b"SELECT client_order_id FROM orders WHERE status = 'CANCELLED' ORDER BY rank")
    assert len(done) == SLICE
    answers = await exchange.cancel_all(ALL)
    assert [*done, *((name,) for name in names(answers))] == await rows(connection, _BY_RANK)


@pytest.mark.parametrize(
    ("loans", "error", "why"),
    [
        (0, ExecutionUnavailable, "does not say which orders main has"),
        (1, Unknown, "with the orders of main under way"),
    ],
)
async def test_a_database_that_falls_silent_is_told_from_one_that_was_silent_before(
    exchange: TestExchange,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    loans: int,
    error: type[VelozError],
    why: str,
) -> None:
    await place(exchange, orders(2 * SLICE))
    left = iter(range(loans))

    def borrowed_at_first(pool: Pool) -> AbstractAsyncContextManager[Connection]:
        if next(left, None) is None:
            raise OperationalError("planted")
        return borrowed(pool)

    with monkeypatch.context() as patch:
        patch.setattr("app.open_orders.borrowed", borrowed_at_first)
        with pytest.raises(error, match=why):
            await exchange.cancel_all(ALL)
    assert len(await exchange.cancel_all(ALL)) == (2 - loans) * SLICE
    assert await rows(connection, _STATES) == [("CANCELLED", "USER", 2 * SLICE)]


async def test_an_account_that_is_to_go_elsewhere_goes_between_two_slices(
    exchange: TestExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place(exchange, orders(2 * SLICE))
    tenure, shard = exchange._supervisor.current(), shard_of("main")

    async def hand_over() -> None:
        tenure.places[shard] = Place.GOING

    with monkeypatch.context() as patch:
        after_slice(patch, hand_over)
        with pytest.raises(Unknown, match="account main goes to another gateway"):
            await exchange.cancel_all(ALL)
    await asyncio.wait_for(tenure.quiet([shard]), 5)
    tenure.places[shard] = Place.HERE
    assert len(await exchange.cancel_all(ALL)) == SLICE


async def test_of_two_at_once_each_lists_what_it_cancelled(exchange: TestExchange, connection: Connection) -> None:
    await place(exchange, orders(3 * SLICE))
    found = await asyncio.gather(exchange.cancel_all(ALL), exchange.cancel_all(ALL))
    assert sorted(names(found[0] + found[1])) == sorted(row[0] for row in await rows(connection, _BY_RANK))


async def test_orders_that_are_gone_and_orders_that_come_between_slices_are_no_error(
    exchange: TestExchange, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place(exchange, orders(2 * SLICE + 10))
    ranked = [row[0] for row in await rows(connection, _BY_RANK)]
    gone, came, read = ranked[SLICE], "late", Tenure.request
    once: list[asyncio.Future[Any]] = []

    def gone_before(tenure: Tenure, lines: Sequence[str], **more: Any) -> Any:  # noqa: ANN401
        """What is in the second slice that was read is cancelled by another before it reaches the engine."""
        if not once and lines[0].startswith(f"CANCEL {gone} "):
            once.append(read(tenure, [f"CANCEL {gone} reason=OTHER ts={time.time_ns()}"]))
            once.append(asyncio.ensure_future(exchange.submit(resting(came), key_id=None)))
        return read(tenure, lines, **more)

    monkeypatch.setattr(Tenure, "request", gone_before)
    answers = await exchange.cancel_all(ALL)
    assert len(once) == 2
    await asyncio.gather(*once)
    assert [name for name in names(answers) if name != came] == [name for name in ranked if name != gone]
    await exchange.cancel_all(ALL)
    assert await rows(connection, _STATES) == [("CANCELLED", "OTHER", 1), ("CANCELLED", "USER", 2 * SLICE + 10)]


async def test_of_one_symbol_only_that_is_cancelled(
    patient: ExchangeConfig, running: Running, connection: Connection, commits: list[int]
) -> None:
    def both(exchange: TestExchange) -> TestExchange:
        other = SymbolSpec(symbol="ETHUSDT", base="ETH", quote="USDT", tick=SYMBOL.tick, lot=SYMBOL.lot)
        exchange._supervisor._symbols = [SYMBOL, other]
        return exchange

    start = TestExchange.start
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TestExchange, "start", lambda exchange: start(both(exchange)))
        async with running(patient) as exchange:
            some = orders(2 * (SLICE + 50))
            some[::2] = [msgspec.structs.replace(order, symbol="ETHUSDT") for order in some[::2]]
            await place(exchange, some)
            commits.clear()
            answers = await exchange.cancel_all(CancelAll(account="main", symbol="ETHUSDT"))
    assert len(answers) == SLICE + 50
    query = b"SELECT DISTINCT symbol, status FROM orders ORDER BY symbol"
    assert await rows(connection, query) == [("BTCUSDT", "ACCEPTED"), ("ETHUSDT", "CANCELLED")]
    assert max(commits) <= WIDEST


async def test_a_keys_many_orders_are_cancelled_in_slices_too(
    exchange: TestExchange, connection: Connection, commits: list[int]
) -> None:
    await place(exchange, orders(2 * SLICE))
    await exchange.submit(resting("of-another"), key_id="k")
    commits.clear()
    assert await exchange.cancel_of_key("main", None, "DEAD_MAN") == 2 * SLICE
    assert max(commits) <= WIDEST
    assert await rows(connection, _STATES) == [("ACCEPTED", "", 1), ("CANCELLED", "DEAD_MAN", 2 * SLICE)]


async def test_every_accounts_many_orders_are_cancelled_few_slices_at_a_time(
    exchange: TestExchange, requests: list[Sequence[str]]
) -> None:
    accounts = [f"a{number}" for number in range(6)]
    for account in accounts:
        await exchange.open_account(account, {"USDT": units("1000")}, Limits())
        await place(exchange, orders(SLICE // 5, account))
    requests.clear()
    waiting = _most_waiting(exchange)
    reports = await exchange.cancel_everywhere(None)
    assert {report.account: len(report.answers) for report in reports} == {
        "main": 0,
        **dict.fromkeys(accounts, SLICE // 5),
    }
    assert {line.split()[0] for lines in requests for line in lines} == {"CANCEL_ALL"}
    assert waiting() <= SLICES + 1, "and the one account that has few"


async def test_the_last_to_leave_cancels_in_slices_over_all_accounts(
    patient: ExchangeConfig, running: Running, connection: Connection, commits: list[int]
) -> None:
    async with running(msgspec.structs.replace(patient, cancel_at_end=True), clean=True) as exchange:
        await exchange.open_account("second", {"USDT": units("1000")}, Limits())
        await place(exchange, orders(SLICE + 100) + orders(SLICE + 100, "second"))
        commits.clear()
    assert await rows(connection, _STATES) == [("CANCELLED", "SHUTDOWN", 2 * (SLICE + 100))]
    assert max(commits) <= WIDEST


async def test_an_account_that_is_not_there_is_not_found(exchange: TestExchange) -> None:
    with pytest.raises(NotFound):
        await exchange.cancel_all(CancelAll(account="nobody"))


def after_slice(patch: pytest.MonkeyPatch, action: Callable[[], Any]) -> None:
    """Do it whenever a slice of cancels is committed, before the next one is read."""
    cancel = open_orders._cancel

    async def then(*given: Any) -> Any:  # noqa: ANN401
        entries = await cancel(*given)
        await action()
        return entries

    patch.setattr(open_orders, "_cancel", then)


def _most_waiting(exchange: TestExchange) -> Callable[[], int]:
    """How many requests the tenure waited for at once, at most."""
    tenure = exchange._supervisor.current()
    most = 0

    class Watched(set[Any]):
        def add(self, one: Any) -> None:  # noqa: ANN401
            nonlocal most
            super().add(one)
            most = max(most, sum(not future.done() for future in self))

    tenure._waiting = Watched(tenure._waiting)
    return lambda: most
