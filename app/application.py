"""One gateway process: what it consists of, how it starts, and how it leaves."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from psycopg import InterfaceError, OperationalError
from psycopg.errors import ForeignKeyViolation
from psycopg_pool import PoolTimeout

from app import __version__, logs
from app.address import networks
from app.auth import Authenticator
from app.cache import Cache
from app.exchange import Exchange
from app.exchange_config import ExchangeConfig
from app.feeds import Feed, SymbolSpec
from app.feeds.replay import ReplayFeed
from app.feeds.sim import SimFeed
from app.key_store import FIRST_KEY, PASSWORD_KEY, KeyStore
from app.keys import SERVICES, Services
from app.lifecycle import Lifecycle
from app.metrics import Metrics
from app.middleware import edge
from app.migrate import migrate
from app.money import parse_units
from app.operation import MAX_BODY
from app.protocol import EdgeRunner
from app.ratelimit import Limiter
from app.routes import OPERATIONS
from app.runtime_config import RuntimeConfig
from app.sessions import Sessions
from app.settings import Settings
from app.streams import Streams

_LOG = logging.getLogger("veloz")
_AWAY = (OperationalError, InterfaceError, PoolTimeout)
_CLOSE_TIMEOUT = 5.0


def exchange_config(settings: Settings) -> ExchangeConfig:
    """The order path's share of the settings."""
    return ExchangeConfig(
        postgres_dsn=settings.postgres_dsn,
        engine_path=settings.engine_path,
        owner=settings.gateway_id,
        paper_balances={asset: parse_units(text) for asset, text in settings.balances.items()},
        submit_timeout=settings.order_timeout,
        pool_size=settings.postgres_pool_max,
        commit_timeout=settings.commit_timeout,
        lookup_timeout=settings.lookup_timeout,
        heartbeat_interval=settings.engine_heartbeat,
        heartbeat_timeout=settings.engine_timeout,
        lease_interval=settings.lease_renew,
        lease_ttl=settings.lease_ttl,
        # A recording ends; that is no fault.
        max_market_age=None if settings.market_source == "replay" else settings.market_max_age or None,
    )


def make_feed(settings: Settings) -> Feed:
    """The market source the settings name."""
    specs = [
        SymbolSpec(symbol=i.symbol, base=i.base, quote=i.quote, tick=parse_units(i.tick), lot=parse_units(i.lot))
        for i in settings.symbols
    ]
    if settings.market_source == "replay":
        files = [Path(name) for name in settings.replay_file]
        return ReplayFeed(specs[0], files, speed=settings.replay_speed, loop=settings.replay_loop)
    return SimFeed(specs, seed=settings.sim_seed, rate=settings.sim_rate)


def make_services(settings: Settings) -> Services:
    """Everything the handlers work with; nothing is connected yet."""
    metrics = Metrics()
    exchange = Exchange.create(exchange_config(settings), make_feed(settings), metrics.core)
    cache = Cache(settings.redis_url, timeout=settings.redis_timeout, retry=settings.redis_retry, up=metrics.redis_up)
    keys = KeyStore(lambda: exchange.pool)
    sessions = Sessions(cache, idle=settings.session_idle, max_age=settings.session_max_age)
    return Services(
        settings=settings,
        config=RuntimeConfig(settings),
        exchange=exchange,
        metrics=metrics,
        cache=cache,
        keys=keys,
        sessions=sessions,
        authenticator=Authenticator(keys, sessions, enabled=settings.auth),
        limiter=Limiter(cache, settings.rate_limit_window),
        streams=Streams(metrics.streams),
        lifecycle=Lifecycle(),
        proxies=networks(settings.trusted_proxies),
    )


def make_application(services: Services) -> web.Application:
    app = web.Application(middlewares=[edge], client_max_size=MAX_BODY)
    app[SERVICES] = services
    for operation in OPERATIONS:
        app.router.add_route(operation.method, operation.path, operation.__call__)
    return app


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[tuple[Services, int]]:
    """A gateway that listens, from start to drained; gives its services and the port.

    It listens before it is ready, so that its health can be asked for. Raises what only an operator can mend:
    MigrationRefused, StartRefused, OSError (the port).
    """
    services = make_services(settings)
    runner = EdgeRunner(
        make_application(services),
        header_timeout=settings.header_timeout,
        keepalive_timeout=settings.keepalive_timeout,
        access_log=logs.ACCESS,
        access_log_class=logs.AccessLog,
        shutdown_timeout=_CLOSE_TIMEOUT,
    )
    lifecycle = services.lifecycle
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(lifecycle.watch(services.metrics.loop_lag))]
        try:
            await migrate(settings.postgres_dsn)
            await services.exchange.start()
            await runner.setup()
            await web.TCPSite(runner, settings.host, settings.port, backlog=settings.backlog).start()
            tasks.append(group.create_task(_until_done(lambda: _prepare(services))))
            yield services, runner.addresses[0][1]
        finally:
            await _leave(services, runner)
            for task in tasks:
                task.cancel()


async def _leave(services: Services, runner: EdgeRunner) -> None:
    """Not ready, orders finished, streams closed with a hint to come back, connections closed."""
    services.lifecycle.draining = True
    services.streams.end()
    if services.lifecycle.started:
        await services.exchange.drain(services.settings.drain_timeout)
    await runner.cleanup()
    await services.exchange.close()
    await services.cache.close()


async def _prepare(services: Services) -> None:
    """What needs the database once: stored configuration, and the keys that the configuration names."""
    settings, keys = services.settings, services.keys
    await services.config.load(services.exchange.pool)
    if settings.api_key:
        await keys.register(FIRST_KEY, settings.api_key, "main")
    if settings.admin_password:
        # Log-ins need a key to hang their sessions on; its text is nobody's.
        await keys.register(PASSWORD_KEY, secrets.token_hex(32), "main")
    else:
        await keys.unregister(PASSWORD_KEY)
    services.lifecycle.started = True


async def _until_done(action: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Try until the database is there, and in it the account that the first key belongs to."""
    while True:
        try:
            return await action()
        except (*_AWAY, ForeignKeyViolation) as error:
            _LOG.warning("the first key cannot be registered yet", extra={"why": str(error)})
            await asyncio.sleep(0.5)


async def _main(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    stop, hurry = asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled)
    served = loop.create_task(_serve(settings, stop))
    hurried = loop.create_task(hurry.wait())
    await asyncio.wait({served, hurried}, return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    if not served.done():
        _LOG.warning("second signal: leaving without waiting")
        served.cancel()
    await asyncio.gather(served, return_exceptions=hurry.is_set())


async def _serve(settings: Settings, stop: asyncio.Event) -> None:
    async with serving(settings) as (services, port):
        _LOG.info("listening", extra={"host": settings.host, "port": port, "version": __version__})
        await stop.wait()
        _LOG.info("draining", extra={"streams": len(services.streams)})
    _LOG.info("stopped")


def run(settings: Settings) -> None:
    """Run one gateway until SIGTERM or SIGINT; the second one ends it without waiting."""
    logs.configure(settings.log_level)
    factory = None
    if sys.platform == "linux":
        import uvloop  # noqa: PLC0415 - not there on other systems

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_main(settings))
