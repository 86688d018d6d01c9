"""A tenure that ends, whenever the gateway is stopped meanwhile."""

import asyncio
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from app.database import Connection
from app.tables import rows
from app.tenure import TenureLost
from tests.app.core.conftest import TestExchange

OURS = b"""SELECT application_name FROM pg_stat_activity
WHERE starts_with(application_name, 'veloz ') AND datname = current_database()"""


async def test_a_stop_in_the_end_of_a_tenure_leaves_no_engine_and_no_session(
    running: Callable[[], AbstractAsyncContextManager[TestExchange]], connection: Connection
) -> None:
    async with running() as exchange:
        tenure = exchange._supervisor.current()
        engine = tenure.engine_pid
        waiting = tenure.request(["CANCEL_ALL acct=main ts=1"])
        tenure.abandon("a test says so")
        with pytest.raises(TenureLost):
            await waiting
    with pytest.raises(ProcessLookupError):
        os.kill(engine, 0)
    async with asyncio.timeout(5):
        while await rows(connection, OURS):  # noqa: ASYNC110 - what is waited for is in the server
            await asyncio.sleep(0.01)
