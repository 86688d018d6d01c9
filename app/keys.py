"""Where the application and its requests keep things: typed keys."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from app.address import Network
from app.auth import Authenticator
from app.cache import Cache
from app.exchange import Exchange
from app.key_store import KeyStore
from app.lifecycle import Lifecycle
from app.metrics import Metrics
from app.ratelimit import Limiter
from app.roles import Principal
from app.runtime_config import RuntimeConfig
from app.schema_watch import SchemaWatch
from app.sessions import Sessions
from app.settings import Settings
from app.streams import Streams
from app.switch_watch import SwitchWatch
from app.switches import Switches


@dataclass(frozen=True)
class Services:
    """What handlers work with."""

    settings: Settings
    config: RuntimeConfig
    exchange: Exchange
    metrics: Metrics
    cache: Cache
    keys: KeyStore
    sessions: Sessions
    authenticator: Authenticator
    limiter: Limiter
    streams: Streams
    switches: Switches
    switch_watch: SwitchWatch
    lifecycle: Lifecycle
    schema: SchemaWatch
    proxies: tuple[Network, ...]


SERVICES = web.AppKey("services", Services)

ROUTE = web.RequestKey("route", str)
ADDRESS = web.RequestKey("address", str)
REQUEST_ID = web.RequestKey("request_id", str)
PRINCIPAL = web.RequestKey("principal", Principal)
# Headers that belong on the answer, whatever the answer is.
HEADERS = web.RequestKey("headers", dict)
