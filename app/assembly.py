"""What a gateway consists of: its services from the settings, nothing connected yet, and the application over them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from aiohttp import web

from app import internal, peers
from app.address import networks
from app.auth import Authenticator
from app.cache import Cache
from app.exchange import Exchange
from app.exchange_config import ExchangeConfig
from app.feeds import Feed, SymbolSpec
from app.feeds.replay import ReplayFeed
from app.feeds.sim import SimFeed
from app.key_store import KeyStore
from app.keys import SERVICES, Services
from app.lifecycle import Lifecycle
from app.metrics import Metrics
from app.middleware import edge
from app.money import parse_units
from app.operation import MAX_BODY
from app.ratelimit import Limiter
from app.routes import OPERATIONS
from app.runtime_config import RuntimeConfig
from app.schema_watch import SchemaWatch
from app.sessions import Sessions
from app.settings import Settings
from app.streams import Streams
from app.switch_watch import SwitchWatch
from app.switches import Switches

# The lease as metrics: name, documentation, field of Standing.
_STANDING = (
    ("veloz_shards_owned", "Shards whose accounts are in this gateway's engine", "shards"),
    ("veloz_lease_seconds", "Seconds that this gateway's lease has left", "lease_seconds"),
    ("veloz_epoch_max", "Greatest epoch of the shards owned", "epoch"),
    ("veloz_gateways_live", "Gateways that live, this one included", "gateways"),
)


def _standing(exchange: Exchange, field: str) -> float:
    return float(getattr(exchange.standing(), field))


def exchange_config(settings: Settings) -> ExchangeConfig:
    """The order path's share of the settings."""
    return ExchangeConfig(
        postgres_dsn=settings.postgres_dsn,
        engine_path=settings.engine_path,
        engine_cpus=settings.engine_cpus,
        owner=settings.gateway_id,
        advertise_url=settings.advertise_url,
        cluster_secret=settings.cluster_secret,
        watch_interval=settings.watch_interval,
        cancel_at_end=settings.drain_policy == "cancel",
        paper_balances={asset: parse_units(text) for asset, text in settings.balances.items()},
        submit_timeout=settings.order_timeout,
        pool_size=settings.postgres_pool_max,
        commit_timeout=settings.commit_timeout,
        lookup_timeout=settings.lookup_timeout,
        heartbeat_interval=settings.engine_heartbeat,
        heartbeat_timeout=settings.engine_timeout,
        lease_interval=settings.lease_renew,
        lease_ttl=settings.lease_ttl,
        verify_from_start=settings.verify_from_start,
        log_keep_days=settings.log_keep_days,
        log_keep_events=settings.log_keep_events,
        redis_url=settings.redis_url,
        redis_timeout=settings.redis_timeout,
        redis_retry=settings.redis_retry,
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
    for name, documentation, field in _STANDING:
        metrics.gauge(name, documentation, partial(_standing, exchange, field))
    cache = Cache(settings.redis_url, timeout=settings.redis_timeout, retry=settings.redis_retry, up=metrics.redis_up)
    keys = KeyStore(lambda: exchange.pool)
    switches = Switches(lambda: exchange.pool)
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
        limiter=Limiter(cache, settings.rate_limit_window, live=lambda: exchange.directory.live),
        streams=Streams(metrics.streams),
        switches=switches,
        switch_watch=SwitchWatch(switches, exchange, metrics.core.switches_fired),
        lifecycle=Lifecycle(),
        schema=SchemaWatch(),
        proxies=networks(settings.trusted_proxies),
    )


def make_application(services: Services) -> web.Application:
    app = web.Application(middlewares=[edge], client_max_size=MAX_BODY)
    app[SERVICES] = services
    for operation in OPERATIONS:
        app.router.add_route(operation.method, operation.path, operation.__call__)
    app.router.add_post(peers.PATH, internal.command)
    return app
