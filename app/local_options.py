"""What a user chooses for the whole system on this machine, and what of it is refused."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from app.embedded import POSTGRES_SETTINGS
from app.settings import EMBEDDED_CONNECTIONS, OWN_CONNECTIONS, Settings

if TYPE_CHECKING:  # one gateway has no balancer and shall not wait for its imports
    from stacks.balancer import Kind

HOST: Final = "127.0.0.1"
MOST_GATEWAYS: Final = 8
POOL: Final = "VELOZ_POSTGRES_POOL_MAX"


class LocalError(Exception):
    """A refusal in words for the person at the terminal."""


class Options(NamedTuple):
    """`market` is sim or replay:FILE[,FILE]; `speed` is of a replay, 0 as fast as possible; `balancer` None: what is there.

    `api_key_file` None: one of the data directory's own.
    """

    market: str
    data_dir: Path
    port: int
    speed: float
    gateways: int = 1
    balancer: Kind | None = None
    host: str = HOST
    api_key_file: Path | None = None
    log_files: bool = True


def check(options: Options) -> None:
    """Raises LocalError for what can be known before anything starts."""
    market_variables(options.market, options.speed)
    if not 1 <= options.gateways <= MOST_GATEWAYS:
        raise LocalError(f"--gateways {options.gateways}: must be 1 to {MOST_GATEWAYS}.")
    if options.gateways == 1 and options.balancer:
        raise LocalError(f"--balancer {options.balancer}: one gateway has none. Choose --gateways 2 or more.")
    if options.gateways > 1 and options.market != "sim":
        raise LocalError(
            f"--market {options.market}: several gateways would each play it from its own start. Choose --gateways 1."
        )
    family = socket.AF_INET6 if isinstance(_address(options.host), IPv6Address) else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((options.host, options.port))
        except OSError as error:
            msg = f"Port {options.port} on {options.host} cannot be used: {error.strerror}. Choose another with --port."
            raise LocalError(msg) from error


def _address(host: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(host)
    except ValueError:
        msg = f"--host {host}: must be an address of this machine. Write e.g. {HOST}, or 0.0.0.0 for all of them."
        raise LocalError(msg) from None


def reached_at(host: str) -> str:
    """Where this machine itself reaches what listens on `host`, as URLs write it."""
    address = _address(host)
    if isinstance(address, IPv6Address):
        return "[::1]" if address.is_unspecified else f"[{address}]"
    return "127.0.0.1" if address.is_unspecified else str(address)


def postgres_settings(gateways: int, environ: Mapping[str, str]) -> dict[str, str]:
    """Room for the connections of so many gateways, and of one more while it is replaced. Raises LocalError."""
    default = next(field.default for field in msgspec.structs.fields(Settings) if field.name == "postgres_pool_max")
    text = environ.get(POOL) or str(default)
    pool = int(text) if text.isdecimal() else default  # what is wrong with it the gateway says
    needed = (gateways + 1) * (pool + OWN_CONNECTIONS)
    if needed > EMBEDDED_CONNECTIONS:
        raise LocalError(
            f"--gateways {gateways}: with {POOL}={pool} they need {needed} connections to PostgreSQL, of which there are "
            f"{EMBEDDED_CONNECTIONS} at most here. Choose fewer gateways, or a smaller pool."
        )
    return {"max_connections": str(max(needed, int(POSTGRES_SETTINGS["max_connections"])))}


def market_variables(market: str, speed: float) -> dict[str, str]:
    """The gateway's variables for sim or replay:FILE[,FILE]; paths are made absolute."""
    source, _, names = market.partition(":")
    if market == "sim":
        return {"VELOZ_MARKET_SOURCE": "sim"}
    if source != "replay" or not names:
        msg = f"--market {market}: must be sim, or replay:FILE with one or more CSV files separated by commas."
        raise LocalError(msg)
    files = [Path(name).absolute() for name in names.split(",")]
    for file in files:
        if not file.is_file() or not os.access(file, os.R_OK):
            msg = f"--market {market}: there is no readable file {file}."
            raise LocalError(msg)
    return {
        "VELOZ_MARKET_SOURCE": "replay",
        "VELOZ_REPLAY_FILE": ",".join(map(str, files)),
        "VELOZ_REPLAY_SPEED": str(speed),
    }
