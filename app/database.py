"""Connections to PostgreSQL, none of which can wait for ever.

The server ends what runs or idles too long, TCP gives up a silent peer, and `cut_after` bounds the client's own wait.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias

from psycopg import AsyncConnection, OperationalError
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import Diagnostic
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

Connection: TypeAlias = AsyncConnection[TupleRow]
Pool: TypeAlias = AsyncConnectionPool[Connection]

CHECK_SECONDS: Final = 0.5

# A peer that is silent for 5 s is gone; the kernel's own figure is 924 s. libpq's least connect_timeout is 2 s.
_TRANSPORT = {
    "connect_timeout": "2",
    "keepalives": "1",
    "keepalives_idle": "3",
    "keepalives_interval": "1",
    "keepalives_count": "2",
    "tcp_user_timeout": "5000",
}


def bounded(dsn: str, *, statement_timeout: float, name: str) -> str:
    """The DSN with time-outs (seconds) for transport, statements, locks and idle transactions; what it sets itself stays."""
    given = conninfo_to_dict(dsn)
    milliseconds = int(statement_timeout * 1000)
    limits = {
        "statement_timeout": milliseconds,
        "lock_timeout": milliseconds,
        "idle_in_transaction_session_timeout": milliseconds,
        "tcp_user_timeout": 5000,
        # For a client that fell silent in the middle of a pipeline, where no other of these limits runs.
        "tcp_keepalives_idle": 3,
        "tcp_keepalives_interval": 1,
        "tcp_keepalives_count": 2,
    }
    options = " ".join(f"-c {key}={value}" for key, value in limits.items())
    own = given.pop("options", None)
    merged = {**_TRANSPORT, **given, "application_name": name, "options": f"{options} {own or ''}".strip()}
    return make_conninfo("", **merged)


async def connect(dsn: str, *, statement_timeout: float, name: str) -> Connection:
    """One connection in autocommit mode; psycopg.OperationalError when the server cannot be reached."""
    return await AsyncConnection.connect(bounded(dsn, statement_timeout=statement_timeout, name=name), autocommit=True)


class _Readers(AsyncConnectionPool[Connection]):
    """A pool whose `check` waits for no silent server."""

    @staticmethod
    async def check_connection(conn: Connection) -> None:
        with cut_after(conn, CHECK_SECONDS):
            await AsyncConnectionPool.check_connection(conn)


def make_pool(dsn: str, *, size: int, timeout: float, name: str = "veloz reader") -> Pool:
    """A pool of autocommit connections, not open yet; a request waits `timeout` seconds for one at most.

    It stops trying to reconnect after 2 s, because a request makes it try again at once, where its own tries back off.
    """
    return _Readers(
        bounded(dsn, statement_timeout=timeout, name=name),
        min_size=min(2, size),
        max_size=size,
        timeout=timeout,
        reconnect_timeout=2.0,
        kwargs={"autocommit": True},
        name="readers",
        open=False,
    )


@contextmanager
def cut_after(connection: Connection, seconds: float) -> Iterator[None]:
    """Cut the connection when the block takes longer: what waits on it then raises psycopg.OperationalError.

    Cancelling the task instead would have psycopg ask a server that does not answer to cancel the query, and wait for it.
    """
    timer = asyncio.get_running_loop().call_later(seconds, cut, connection)
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def confirmed(connection: Connection) -> Iterator[None]:
    """Raise psycopg.OperationalError at the end when the server warned of something in the block.

    It calls a commit done though its wait for the synchronous standby was cancelled, and only warns of that.
    """
    warnings: list[str] = []

    def note(diagnostic: Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            warnings.append(diagnostic.message_primary or "")

    connection.add_notice_handler(note)
    try:
        yield
    finally:
        connection.remove_notice_handler(note)
    if warnings:
        raise OperationalError(f"the commit is not confirmed: {warnings[0]}")


def cut(connection: Connection) -> None:
    """Shut the connection's socket down, so that every wait on it ends now."""
    if connection.closed:
        return
    with socket.socket(fileno=os.dup(connection.fileno())) as duplicate:
        try:
            duplicate.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the peer was quicker
