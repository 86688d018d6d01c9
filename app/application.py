"""One gateway process: how it starts, and how it leaves."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import sys
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from aiohttp import web
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import ForeignKeyViolation, ProgrammingError

from app import __version__, logs
from app.assembly import make_application, make_services
from app.borrow import DATABASE_AWAY
from app.exchange import StartRefused
from app.feeds.records import RecordError
from app.key_store import FIRST_KEY, PASSWORD_KEY
from app.keys import Services
from app.leaving import leave_to_others
from app.migrate import MigrationRefused, migrate
from app.protocol import EdgeRunner
from app.service_manager import READY, STOPPING, ServiceManager
from app.settings import CLOSE_TIMEOUT, Settings

_LOG = logging.getLogger("veloz")
_RETRY = 0.5
_HURRY_TIMEOUT = 5.0
_QUIET_START = 5.0


async def serve(settings: Settings, stop: asyncio.Event, listening: Callable[[Services, int], None]) -> None:
    """A gateway until `stop` is set; `listening` is given its services and its port.

    It listens at once, so that its health can be asked for, and is ready when the order path is. One of several listens when
    commands reach the others, or after a few seconds: a balancer that does not ask for health sends requests to whoever listens.
    Raises what only an operator can mend: MigrationRefused, StartRefused, OSError (the port).
    """
    services = make_services(settings)
    runner = _runner(services)
    watch = asyncio.create_task(services.lifecycle.watch(services.metrics.loop_lag))
    starting = asyncio.create_task(_start(services))
    stopping = asyncio.create_task(stop.wait())
    patience = settings.drain_timeout
    background = (
        asyncio.create_task(services.config.follow(services.exchange.pool)),
        asyncio.create_task(services.switch_watch.run()),
        asyncio.create_task(services.limiter.run()),
        asyncio.create_task(services.schema.follow(services.exchange.pool)),
    )
    try:
        await runner.setup()
        if settings.advertise_url:
            await _quiet_start(services, starting, stopping)
        site = web.TCPSite(runner, settings.host, settings.port, backlog=settings.backlog)
        await site.start()
        services.lifecycle.listening.set()
        listening(services, runner.addresses[0][1])
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
        await stopping
        patience = await leave_to_others(services, runner, site)
    finally:
        for task in (starting, stopping, watch):
            task.cancel()
        await asyncio.wait({starting, stopping, watch})
        await _leave(services, runner, background, patience)


async def _quiet_start(services: Services, starting: asyncio.Task[None], stopping: asyncio.Task[bool]) -> None:
    """Until commands reach the other gateways, or a few seconds; no longer than the start lasts."""
    reachable = asyncio.create_task(services.lifecycle.reachable.wait())
    waiting: set[asyncio.Task[Any]] = {reachable, starting, stopping}
    await asyncio.wait(waiting, timeout=_QUIET_START, return_when=asyncio.FIRST_COMPLETED)
    reachable.cancel()


def _runner(services: Services) -> EdgeRunner:
    return EdgeRunner(
        make_application(services),
        header_timeout=services.settings.header_timeout,
        keepalive_timeout=services.settings.keepalive_timeout,
        access_log=logs.ACCESS,
        access_log_class=logs.AccessLog,
        shutdown_timeout=CLOSE_TIMEOUT,
    )


async def _start(services: Services) -> None:
    """The schema, the order path, stored configuration, and the keys that the configuration names."""
    settings, exchange = services.settings, services.exchange
    await _until_there("the schema", lambda: migrate(settings.postgres_dsn))
    services.lifecycle.exchange_started = True
    await exchange.open()
    if settings.advertise_url:
        await exchange.directory.looked(_QUIET_START)
        services.lifecycle.reachable.set()
        await services.lifecycle.listening.wait()  # the others send commands as soon as accounts are ours
    await exchange.start()
    await _until_there("the configuration", lambda: services.config.load(exchange.pool))
    await _until_there("the first key", lambda: _register(services))
    await _until_there("the schema's number", lambda: services.schema.look(exchange.pool))
    services.lifecycle.started = True


async def _register(services: Services) -> None:
    settings, keys = services.settings, services.keys
    if settings.api_key:
        await keys.register(FIRST_KEY, settings.api_key, "main")
    if settings.admin_password:
        # Log-ins need a key to hang their sessions on; its text is nobody's.
        await keys.register(PASSWORD_KEY, secrets.token_hex(32), "main")
    else:
        await keys.unregister(PASSWORD_KEY)
    if settings.auth and not await keys.any_admin():
        raise StartRefused("nobody could get in: there is no admin key; give VELOZ_API_KEY or VELOZ_API_KEY_FILE")


async def _until_there(what: str, action: Callable[[], Awaitable[object]]) -> None:
    """Try until the database is there, and in it the account that the first key belongs to."""
    while True:
        try:
            await action()
        except (*DATABASE_AWAY, ForeignKeyViolation) as error:
            _LOG.warning("%s must wait for the database", what, extra={"why": str(error)})
            await asyncio.sleep(_RETRY)
        else:
            return


async def _leave(
    services: Services, runner: EdgeRunner, background: Collection[asyncio.Task[None]], patience: float
) -> None:
    """Not ready, orders finished in `patience` seconds, streams closed with a hint to come back, connections closed."""
    services.lifecycle.draining = True
    services.streams.end()
    if services.lifecycle.exchange_started:
        await services.exchange.drain(patience)
    await runner.cleanup()
    for task in background:
        task.cancel()
    await asyncio.wait(background)
    if services.lifecycle.exchange_started:
        await services.exchange.close()
    await services.cache.close()


async def _main(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    stop, hurry = asyncio.Event(), asyncio.Event()
    manager = ServiceManager.of(os.environ)
    beating: list[asyncio.Task[None]] = []

    def announce(services: Services, port: int) -> None:
        manager.tell(READY)
        # As /health/live says: a loop that hangs tells nobody, one that runs again needs no restart.
        beating.append(loop.create_task(manager.keep_told(lambda: not services.exchange.broken)))
        _announce(services, port)

    def signalled() -> None:
        manager.tell(STOPPING)
        _LOG.info("leaving" if not stop.is_set() else "leaving without waiting")
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled)
    served = loop.create_task(serve(settings, stop, announce))
    hurried = loop.create_task(hurry.wait())
    await asyncio.wait({served, hurried}, return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    if not served.done():
        served.cancel()
        await asyncio.wait({served}, timeout=_HURRY_TIMEOUT)
    elif not served.cancelled():
        served.result()


def _announce(services: Services, port: int) -> None:
    _LOG.info("listening", extra={"host": services.settings.host, "port": port, "version": __version__})


def _check_dsn(dsn: str) -> None:
    """Raises StartRefused without the text, which the driver's own message would repeat, password and all."""
    try:
        conninfo_to_dict(dsn)
    except ProgrammingError:
        raise StartRefused(
            "VELOZ_POSTGRES_DSN is no connection string; write postgresql://user@host/database"
        ) from None


def run(settings: Settings) -> None:
    """Run one gateway until SIGTERM or SIGINT; the second one ends it without waiting. Exit status 1: it cannot start."""
    logs.configure(settings.log_level)
    factory = None
    if sys.platform == "linux":
        import uvloop  # noqa: PLC0415 - not there on other systems

        factory = uvloop.new_event_loop
    try:
        _check_dsn(settings.postgres_dsn)
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(_main(settings))
    except (MigrationRefused, StartRefused, RecordError, OSError) as error:
        _LOG.critical("the gateway cannot run: %s", error)
        sys.exit(1)
    _LOG.info("stopped")
