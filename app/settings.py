"""What one gateway process needs, as plain data: a field's name, default and rule stand in one place.

The variable of a field `rate_limit_key` is `VELOZ_RATE_LIMIT_KEY`. Lists are comma-separated, an empty value counts as
not given, durations are seconds. `load` reads an environment and reports everything that is wrong with it at once.
"""

from __future__ import annotations

import ipaddress
import os
import stat
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from app.variables import (
    PREFIX,
    Problem,
    SettingsError,
    Variable,
    check_key,
    check_password,
    convert,
    unknown_variables,
    variables_of,
)

__all__ = ["VARIABLES", "Instrument", "Settings", "SettingsError", "load"]

ROOT = Path(__file__).resolve().parent.parent
API_KEY_FILE = Path("/etc/veloz/api_key")
DEFAULT_PORT = 8080
# Beside its pool: what a gateway keeps its lease, writes the log and listens with, and what it migrates with at its start.
OWN_CONNECTIONS = 6
# That a server which a gateway brings along has at most.
EMBEDDED_CONNECTIONS = 200
# A stop, beside drain_timeout and drain_linger: at least LEAST_DRAIN for orders in flight after a hand-over, then CLOSE_TIMEOUT
# for handlers to end, and so long again after aiohttp told them to.
LEAST_DRAIN = 1.0
CLOSE_TIMEOUT = 2.0
_MAX_SECRET_FILE = 4096
_MAX_AMOUNT = Decimal(2**63 - 1).scaleb(-8)
_WORD = r"^[A-Za-z0-9._:/-]{1,64}\Z"
_REDIS = (
    r"(rediss?://([^/?#@\s]*@)?(\[[0-9A-Fa-f:.]+\]|[^/?#@\s:]+)(:[0-9]{1,5})?(/[0-9]*)?|unix://[^?#\s]+)(\?[!-~]*)?"
)
_DECIMAL = r"[0-9]{1,12}(\.[0-9]{1,8})?"

Token = Annotated[str, Meta(pattern=_WORD)]
Secret = Annotated[str, Meta(extra={"secret": True})]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Limit = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Balance = Annotated[str, Meta(pattern=rf"^[A-Za-z0-9._:/-]{{1,64}}={_DECIMAL}\Z")]
_NAME = r"[A-Za-z0-9._:-]{1,64}"
InstrumentText = Annotated[str, Meta(pattern=rf"^{_NAME}/{_NAME}/{_NAME}/{_DECIMAL}/{_DECIMAL}\Z")]

_QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USD", "EUR", "GBP", "BTC", "ETH", "BNB")


class Instrument(msgspec.Struct, frozen=True):
    """A tradable symbol; `tick` and `lot` are decimal texts."""

    symbol: str
    base: str
    quote: str
    tick: str = "0.01"
    lot: str = "0.00001"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One gateway's configuration. Its repr shows no secret."""

    # Where it listens
    host: Annotated[str, Meta(min_length=1, max_length=253)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535, description="0 takes any free port")] = DEFAULT_PORT
    backlog: Count = 2048
    keepalive_timeout: Seconds = 75.0
    header_timeout: Annotated[float, Meta(gt=0, le=10, description="for a request's head, and for its body")] = 10.0
    trusted_proxies: Annotated[tuple[str, ...], Meta(description="networks whose X-Forwarded-For is believed")] = ()
    gateway_id: Annotated[Token, Meta(description="names this gateway's leases; the same after a restart")] = (
        "gateway-1"
    )

    # Several gateways on one database
    advertise_url: Annotated[
        str,
        Meta(
            pattern=r"^(|https?://[A-Za-z0-9.\[\]:_-]{1,253})\Z",
            description="where the other gateways reach this one, e.g. http://10.0.0.5:8080; without it: it works alone",
        ),
    ] = ""
    cluster_secret: Annotated[
        Secret, Meta(description="the same 256 random bits for all gateways of a database; with advertise_url")
    ] = ""
    watch_interval: Annotated[float, Meta(gt=0, le=5, description="between looks at who owns what")] = 0.3

    # Engine and market
    preset: Annotated[Literal["release", "dev", "asan"], Meta(description="which engine build")] = "release"
    engine: Annotated[str, Meta(description="path of the engine, instead of the preset's")] = ""
    engine_cpus: Annotated[
        str,
        Meta(
            pattern=r"^(|[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?){0,63})\Z",
            description="that the engine runs on, e.g. 2,6 or 2-3; without it: any of the gateway's",
        ),
    ] = ""
    market_source: Literal["sim", "replay", "binance", "binance_rest"] = "sim"
    market_symbol: Annotated[tuple[Token, ...], Meta(min_length=1)] = ("BTCUSDT",)
    instruments: Annotated[tuple[InstrumentText, ...], Meta(description="SYMBOL/BASE/QUOTE/TICK/LOT")] = ()
    replay_file: tuple[str, ...] = ()
    replay_speed: Annotated[float, Meta(ge=0, le=1e6, description="1 is real time, 0 as fast as possible")] = 1.0
    replay_loop: bool = False
    sim_seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 1
    sim_rate: Annotated[float, Meta(gt=0, le=10_000, description="market events a second and symbol")] = 5.0
    execution_mode: Literal["sim_engine", "binance_testnet_spot", "binance_spot"] = "sim_engine"
    binance_base_url: Annotated[str, Meta(pattern=r"^https?://[!-~]+\Z")] = "https://api.binance.com"
    binance_trade_base_url: Annotated[str, Meta(pattern=r"^https?://[!-~]+\Z")] = "https://testnet.binance.vision"
    binance_api_key: Secret = ""
    binance_api_secret: Secret = ""
    paper_balances: Annotated[tuple[Balance, ...], Meta(description="of the account main when it is opened")] = (
        "USDT=100000",
        "BTC=1",
    )

    # PostgreSQL and Redis
    postgres_dsn: Annotated[
        Secret,
        # What the driver cannot read it would repeat in its message, password and all.
        Meta(pattern=r"^(|postgres(ql)?://[!-~]+|\s*[a-z_]+\s*=.*)\Z", description="postgresql://… or host=… dbname=…"),
    ]
    postgres_pool_max: Count = 8
    redis_url: Annotated[
        Secret,
        Meta(pattern=rf"^({_REDIS})?\Z", description="without it: no sessions, limits per gateway"),
    ] = ""
    redis_timeout: Annotated[float, Meta(gt=0, le=2)] = 0.15
    redis_retry: Annotated[Seconds, Meta(description="how long a dead Redis is left alone")] = 0.5

    # Order path
    commit_timeout: Annotated[Seconds, Meta(description="for one group commit")] = 1.5
    lookup_timeout: Annotated[Seconds, Meta(description="for one read of the database")] = 1.0
    order_timeout: Annotated[Seconds, Meta(description="after it the answer is `unknown`")] = 1.9
    engine_heartbeat: Seconds = 0.25
    engine_timeout: Annotated[Seconds, Meta(description="an engine silent for this long is killed")] = 1.0
    lease_ttl: Seconds = 3.0
    lease_renew: Seconds = 1.0
    drain_timeout: Annotated[float, Meta(gt=0, le=12, description="for hand-over and for orders in flight")] = 10.0
    drain_linger: Annotated[
        float,
        Meta(
            ge=0, le=8, description="for kept-alive connections, when others serve on; above the balancer's own limit"
        ),
    ] = 7.0
    drain_policy: Annotated[
        Literal["hold", "cancel"], Meta(description="of open orders, when the last gateway leaves")
    ] = "hold"
    log_keep_days: Annotated[float, Meta(ge=0, le=36_500, description="older log entries are pruned; 0: kept")] = 0.0
    log_keep_events: Annotated[Limit, Meta(description="log entries kept an account; 0: all")] = 0
    verify_from_start: Annotated[
        bool, Meta(description="prove the whole log at start, not from the last checkpoint")
    ] = False
    market_max_age: Annotated[float, Meta(ge=0, le=86_400, description="older is not ready; 0: any age is ready")] = (
        10.0
    )

    # Who may
    auth: bool = True
    api_key: Annotated[Secret, Meta(description="the first admin key; default: /etc/veloz/api_key when it exists")] = ""
    admin_user: Token = "admin"
    admin_password: Annotated[Secret, Meta(description="turns on /api/auth/login")] = ""
    session_idle: Seconds = 1800.0
    session_max_age: Seconds = 43_200.0
    session_cookie_secure: Annotated[bool, Meta(description="true behind TLS")] = False
    metrics_access: Annotated[
        Literal["loopback", "open", "key"],
        Meta(description="who reads /metrics: peers on loopback and any key, everybody, or any key"),
    ] = "loopback"

    # How often
    rate_limit_window: Annotated[int, Meta(ge=1, le=3600)] = 60
    rate_limit_key: Annotated[Limit, Meta(description="weight a window and key; 0: no limit")] = 6000
    rate_limit_address: Annotated[Limit, Meta(description="weight a window and address; 0: no limit")] = 12_000
    rate_limit_login: Annotated[Limit, Meta(description="failed log-ins a window and address; 0: no limit")] = 20

    # Streams
    stream_heartbeat: Annotated[float, Meta(gt=0, le=10)] = 8.0
    stream_stall: Annotated[Seconds, Meta(description="a reader that takes nothing for this long is cut off")] = 30.0
    stream_retry: Annotated[Seconds, Meta(description="the `retry:` given to clients")] = 1.0
    stream_recheck: Annotated[float, Meta(gt=0, le=3, description="between checks of a stream's credential")] = 2.0
    streams_per_key: Count = 32

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def engine_path(self) -> Path:
        """The engine's executable."""
        return Path(self.engine) if self.engine else ROOT / "engine" / "build" / self.preset / "veloz_engine"

    @property
    def connections(self) -> int:
        """To PostgreSQL, at most."""
        return self.postgres_pool_max + OWN_CONNECTIONS

    @property
    def stop_seconds(self) -> float:
        """From SIGTERM to the end, at most."""
        return self.drain_timeout + LEAST_DRAIN + self.drain_linger + 2 * CLOSE_TIMEOUT

    @property
    def balances(self) -> dict[str, str]:
        """The paper balances: asset → decimal text."""
        return dict(entry.rsplit("=", 1) for entry in self.paper_balances)

    @property
    def symbols(self) -> tuple[Instrument, ...]:
        """The instruments to define: those given, and one for each market symbol that none was given for."""
        given = {text.split("/")[0]: Instrument(*text.split("/")) for text in self.instruments}
        for symbol in self.market_symbol:
            given.setdefault(symbol, _guess(symbol))
        return tuple(given.values())

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.public().items())})"

    def public(self) -> dict[str, Any]:
        """Every field that is no secret."""
        return {v.field: getattr(self, v.field) for v in VARIABLES if not v.secret}


def _guess(symbol: str) -> Instrument:
    for quote in _QUOTES:
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return Instrument(symbol, symbol.removesuffix(quote), quote)
    return Instrument(symbol, symbol, "USD")


VARIABLES: tuple[Variable, ...] = variables_of(Settings)


def load(environ: Mapping[str, str], *, api_key_file: Path = API_KEY_FILE) -> Settings:
    """Settings from an environment and the files it names. Raises SettingsError with every problem found."""
    given = {name: value for name, value in environ.items() if value}
    problems = list(unknown_variables(given, VARIABLES))
    values: dict[str, Any] = {}
    for variable in VARIABLES:
        try:
            text = _secret(variable, given, api_key_file) if variable.secret else given.get(variable.name)
            if text is not None:
                values[variable.field] = convert(variable, text)
        except Problem as problem:
            problems.append(problem)
    failed = {p.name for p in problems}
    if "postgres_dsn" not in values and not {"VELOZ_POSTGRES_DSN", "VELOZ_POSTGRES_DSN_FILE"} & failed:
        problems.append(Problem("VELOZ_POSTGRES_DSN", None, "is required", "e.g. postgresql://veloz@127.0.0.1/veloz"))
    settings = Settings(**{"postgres_dsn": ""} | values)
    problems += [p for p in _cross(settings) if p.name not in failed]
    if problems:
        raise SettingsError(problems)
    return settings


def _secret(variable: Variable, given: Mapping[str, str], api_key_file: Path) -> str | None:
    file_name = variable.name + "_FILE"
    text, path = given.get(variable.name), given.get(file_name)
    if text is not None and path is not None:
        raise Problem(file_name, path, f"is given beside {variable.name}", "keep one of the two")
    if text is None and path is None and variable.field == "api_key" and _there(api_key_file):
        path = str(api_key_file)
    return _read_secret(file_name, Path(path)) if path is not None else text


def _there(path: Path) -> bool:
    """Whether there is a file, or something that must be mended before one can tell."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _read_secret(name: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MAX_SECRET_FILE + 1)
    except OSError as error:
        raise Problem(name, str(path), f"cannot be read: {error.strerror}", "create it, mode 0400") from error
    if not stat.S_ISREG(mode):
        raise Problem(name, str(path), "must name a regular file", "name the file that holds the secret")
    if mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP):
        raise Problem(name, str(path), f"must not be open to others (mode {mode & 0o777:04o})", f"chmod 0400 {path}")
    if len(data) > _MAX_SECRET_FILE:
        raise Problem(name, str(path), f"must hold at most {_MAX_SECRET_FILE} bytes", "put the secret alone in it")
    try:
        text = data.decode().strip()
    except UnicodeDecodeError as error:
        raise Problem(name, str(path), "must hold text", "put the secret alone in it") from error
    if not text:
        raise Problem(name, str(path), "must not be empty", "put the secret alone in it")
    return text


def _problem(field: str, value: object, rule: str, remedy: str) -> Problem:
    return Problem(PREFIX + field.upper(), None if value is None else str(value), rule, remedy)


def _cross(s: Settings) -> Iterator[Problem]:
    """The rules that one field alone cannot state."""
    yield from _credentials(s)
    yield from _market(s)
    for network in s.trusted_proxies:
        try:
            everybody = ipaddress.ip_network(network).prefixlen == 0
        except ValueError:
            everybody = True
        if everybody:
            yield _problem(
                "trusted_proxies",
                network,
                "must be addresses or networks, not everybody",
                "write 10.0.0.0/8 or 127.0.0.1",
            )
    for low, high in _ORDERED:
        if getattr(s, low) > getattr(s, high):
            rule = f"must not be greater than {PREFIX}{high.upper()} ({getattr(s, high)})"
            yield _problem(low, getattr(s, low), rule, "lower it, or raise the other")


def _credentials(s: Settings) -> Iterator[Problem]:
    if s.api_key and (fault := check_key(s.api_key)):
        yield _problem("api_key", None, fault, "make one: python3 -c 'import secrets; print(secrets.token_hex(32))'")
    if s.cluster_secret and (fault := check_key(s.cluster_secret)):
        remedy = "make one for all gateways: python3 -c 'import secrets; print(secrets.token_hex(32))'"
        yield _problem("cluster_secret", None, fault, remedy)
    if bool(s.cluster_secret) != bool(s.advertise_url):
        missing = "advertise_url" if s.cluster_secret else "cluster_secret"
        yield _problem(missing, None, "is missing; gateways that share a database need both", "give it, or neither")
    if s.admin_password and (fault := check_password(s.admin_password)):
        yield _problem("admin_password", None, fault, "choose a long one that nobody else has")
    if not s.auth and not _loopback(s.host):
        yield _problem("auth", "false", f"is allowed on loopback only, not on {s.host}", "listen on 127.0.0.1")


def _market(s: Settings) -> Iterator[Problem]:
    yield from _amounts(s)
    if s.market_source.startswith("binance"):
        yield _problem("market_source", s.market_source, "is not available in this version", "use sim or replay")
    if s.execution_mode != "sim_engine":
        yield _problem("execution_mode", s.execution_mode, "is not available in this version", "use sim_engine")
    if s.market_source == "replay" and len(s.symbols) != 1:
        yield _problem("market_symbol", ",".join(s.market_symbol), "must be one symbol for replay", "name one")
    if s.market_source == "replay" and s.advertise_url:
        rule = "must not be replay with several gateways: each would play it from its own start"
        yield _problem("market_source", s.market_source, rule, "use sim, or one gateway without VELOZ_ADVERTISE_URL")
    if s.market_source == "replay" and not s.replay_file:
        yield _problem("replay_file", None, "is required for replay", "name a CSV of trades or quotes")
    for name in s.replay_file:
        if not Path(name).is_file():
            yield _problem("replay_file", name, "must name an existing file", "correct the path")


def _amounts(s: Settings) -> Iterator[Problem]:
    for asset, text in s.balances.items():
        if Decimal(text) > _MAX_AMOUNT:
            yield _problem("paper_balances", f"{asset}={text}", f"must be at most {_MAX_AMOUNT}", "give less")
    for text in s.instruments:
        tick, lot = map(Decimal, text.split("/")[3:])
        if not (0 < tick <= _MAX_AMOUNT and 0 < lot <= _MAX_AMOUNT):
            rule = f"must have a tick and a lot above 0 and at most {_MAX_AMOUNT}"
            yield _problem("instruments", text, rule, "write e.g. BTCUSDT/BTC/USDT/0.01/0.00001")


_ORDERED = (
    ("session_idle", "session_max_age"),
    ("lease_renew", "lease_ttl"),
    ("watch_interval", "lease_ttl"),
    ("engine_heartbeat", "engine_timeout"),
)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
