"""The load balancer before several gateways: one description, an nginx or a HAProxy configuration.

Limits and time limits are the gateway's own, so that neither side believes something else of the other.
Clients speak HTTP/1.1 (docs/architecture.md has the reason).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from msgspec import Meta

from app.middleware import MAX_HEAD
from app.operation import MAX_BODY
from app.settings import Settings
from stacks import answers, tls
from stacks.tls import Name, Port, Tls

Kind: TypeAlias = Literal["nginx", "haproxy"]
Version: TypeAlias = tuple[int, ...]
Host = Annotated[str, Meta(pattern=r"^[A-Za-z0-9.:_-]{1,253}\Z")]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Seconds = Annotated[float, Meta(gt=0, le=3600)]

TEMPLATES: Final[Mapping[Kind, str]] = MappingProxyType({"nginx": "nginx.conf", "haproxy": "haproxy.cfg"})
# What the balancer's own listener answers with 200.
HEALTH_PATH: Final = "/health/live"

_GATEWAY: Final[Mapping[str, Any]] = MappingProxyType({f.name: f.default for f in msgspec.structs.fields(Settings)})
# From a gateway's own deadline to the balancer's: for its answer `unknown` to arrive. R13 leaves 3 s for both.
_MARGIN = 0.8
# HAProxy counts the line that ends the headers.
_HEAD_END = 2
# `server … resolve` outside the commercial edition.
NGINX_RESOLVES: Final = (1, 27, 3)
_FILES_A_CLIENT: Final = 4
_FILES: Final = 256


class BalancerError(Exception):
    """A refusal in words: value, rule, remedy."""


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A gateway as the balancer reaches it."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")]
    host: Host
    port: Port

    @property
    def address(self) -> str:
        return endpoint(self.host, self.port)


class Discovery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Gateways that come and go: all the addresses that DNS has for a name."""

    name: Name
    port: Port
    most: Annotated[int, Meta(ge=1, le=100, description="addresses at a time; HAProxy has a place for each")]
    nameserver: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9.:-]{0,253}\Z", description="empty: those of /etc/resolv.conf, HAProxy only")
    ] = ""
    nameserver_port: Port = 53

    @property
    def address(self) -> str:
        return endpoint(self.name, self.port)

    @property
    def resolver(self) -> str:
        return endpoint(self.nameserver, self.nameserver_port)


class Health(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A listener of the balancer's own, for those who watch it; no client reaches it."""

    host: Host = "127.0.0.1"
    port: Port

    @property
    def address(self) -> str:
        return endpoint(self.host, self.port)


class Balancer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Durations are seconds, sizes bytes. The fields that are named as a gateway's setting have its value."""

    gateways: Annotated[tuple[Server, ...], Meta(max_length=100)] = ()
    discovery: Annotated[Discovery | None, Meta(description="in the place of a list of gateways")] = None
    host: Host = "127.0.0.1"
    port: Port
    tls: Tls | None = None
    health: Health | None = None
    proxies: Annotated[
        tuple[str, ...], Meta(description="networks before this balancer; their last X-Forwarded-For entry is believed")
    ] = ()
    user: Annotated[str, Meta(pattern=r"^[a-z_][a-z0-9_-]{0,31}\Z|^\Z", description="of the workers, set by root")] = ""
    group: Annotated[str, Meta(pattern=r"^[a-z_][a-z0-9_-]{0,31}\Z|^\Z")] = ""
    workers: Annotated[int, Meta(ge=0, le=1024, description="0: one a core")] = 0
    connections: Annotated[Count, Meta(description="of clients, a worker in nginx, altogether in HAProxy")] = 4096
    keepalive: Annotated[Count, Meta(description="idle connections to gateways that an nginx worker keeps")] = 64

    # Limits on clients
    max_body: Count = MAX_BODY
    max_head: Count = MAX_HEAD
    backlog: Count = _GATEWAY["backlog"]
    header_timeout: Annotated[float, Meta(gt=0, le=10)] = _GATEWAY["header_timeout"]
    keepalive_timeout: Seconds = _GATEWAY["keepalive_timeout"]
    stream_stall: Seconds = _GATEWAY["stream_stall"]

    # What the gateways do
    order_timeout: Seconds = _GATEWAY["order_timeout"]
    stream_heartbeat: Seconds = _GATEWAY["stream_heartbeat"]
    drain_linger: Annotated[float, Meta(ge=1, le=8)] = _GATEWAY["drain_linger"]

    connect_timeout: Seconds = 1.0
    failed_seconds: Annotated[int, Meta(ge=1, le=60, description="nginx leaves a gateway that failed alone for")] = 5
    check_interval: Annotated[float, Meta(gt=0, le=10, description="HAProxy's, of /health/ready")] = 0.5
    check_timeout: Annotated[float, Meta(gt=0, le=10)] = 1.0
    keepalive_spared: Annotated[
        float, Meta(gt=0, le=60, description="so long idle, a connection is closed in a reload")
    ] = 20.0
    shutdown_timeout: Annotated[float, Meta(gt=0, le=60, description="after a reload old workers end by then")] = 30.0

    @property
    def address(self) -> str:
        return endpoint(self.host, self.port)

    @property
    def secure_address(self) -> str:
        """Where clients come with TLS."""
        return endpoint(self.host, self.tls.port) if self.tls else ""

    @property
    def plain_connections(self) -> int:
        """Of clients that are to be sent to TLS."""
        return max(1, self.connections // 8) if self.tls else 0

    @property
    def open_files(self) -> int:
        """Of a process: each client may have a gateway's connection beside its own; and as many for a body in a file."""
        return _FILES_A_CLIENT * self.connections + _FILES

    @property
    def answer_timeout(self) -> float:
        """A gateway that says nothing for so long hangs."""
        return self.order_timeout + _MARGIN

    @property
    def stream_timeout(self) -> float:
        """A stream's gateway is given up when three heartbeats are missing."""
        return 3 * self.stream_heartbeat

    @property
    def idle_timeout(self) -> float:
        """Idle connections are closed from this side before a draining gateway closes them under a request."""
        return 0.7 * self.drain_linger


def most_connections(open_files: int) -> int:
    """Of clients, for whom so many open files of a process are enough."""
    return (open_files - _FILES) // _FILES_A_CLIENT


def endpoint(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def render(model: Balancer, kind: Kind, version: Version = ()) -> str:
    """The configuration file. `version`: the program's, for what older ones do not know; () is the oldest.

    Raises BalancerError.
    """
    for problem in problems(model):
        raise BalancerError(problem)
    if kind == "nginx" and model.discovery:
        _check_resolves(model.discovery, version)
    environment = Environment(  # noqa: S701 (not HTML; every text in the model has a pattern)
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["ms"] = milliseconds
    template = environment.get_template(f"{TEMPLATES[kind]}.j2")
    return template.render(
        b=model,
        version=version,
        refusals=answers.refusals(model),
        not_sent=answers.NOT_SENT,
        no_answer=answers.NO_ANSWER,
        no_length=answers.NO_LENGTH,
        plain=answers.PLAIN,
        allow=answers.ALLOW,
        health_path=HEALTH_PATH,
        ciphers=":".join(tls.CIPHERS),
        ciphersuites=":".join(tls.CIPHERSUITES),
        curves=":".join(tls.CURVES),
        max_head=model.max_head + _HEAD_END,
    )


def _check_resolves(discovery: Discovery, version: Version) -> None:
    if version < NGINX_RESOLVES:
        found = ".".join(map(str, version)) or "of an unknown version"
        raise BalancerError(
            f"nginx {found} cannot follow the gateways of {discovery.name} in DNS, 1.27.3 is the first that can. "
            "Use a newer one, or HAProxy."
        )
    if not discovery.nameserver:
        raise BalancerError("discovery: nginx reads no /etc/resolv.conf. Name a nameserver.")


def milliseconds(seconds: float) -> str:
    """As both programs write a duration."""
    return f"{max(1, round(seconds * 1000))}ms"


def problems(model: Balancer) -> Iterator[str]:
    """What is wrong with a description; constructing one checks nothing."""
    try:
        msgspec.convert(msgspec.to_builtins(model), Balancer)
    except msgspec.ValidationError as error:
        yield f"The balancer's description is not valid: {error}. Correct that field."
        return
    if bool(model.gateways) == (model.discovery is not None):
        yield "A balancer has gateways or a discovery: one of the two. Give one."
    for what, values in (
        ("name", [server.name for server in model.gateways]),
        ("address", [server.address for server in model.gateways]),
    ):
        for value in sorted({value for value in values if values.count(value) > 1}):
            yield f"Two gateways have the {what} {value}; each needs its own. Change one."
    taken = [model.port, *(part.port for part in (model.tls, model.health) if part)]
    for port in sorted({port for port in taken if taken.count(port) > 1}):
        yield f"Two listeners of the balancer have the port {port}; each needs its own. Change one."
    for network in model.proxies:
        try:
            everybody = ipaddress.ip_network(network).prefixlen == 0
        except ValueError:
            everybody = True
        if everybody:
            yield f"proxies: {network} must be an address or a network, not everybody. Write e.g. 10.0.0.0/8."
