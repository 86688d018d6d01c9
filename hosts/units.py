"""The systemd units of a native install, from the description. Pure."""

from __future__ import annotations

import shlex
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hosts import native, places
from stacks import edge
from stacks.gateway_settings import gateway_settings
from stacks.spec import Deployment

_TEMPLATES: Final = Path(__file__).parent / "templates"
_DIGITS: Final = 16
# The balancer's: for requests under way; who follows a stream comes back.
_BALANCER_STOP: Final = 10
# Leases: after one that ran out others trade, and so long again it is as good as dead.
_WATCHDOG_LEASES: Final = 3
# What `systemd-analyze security` may say at most, of 10.
EXPOSURE: Final = 2.0


class Cpus(NamedTuple):
    """As taskset reads them; empty: any. `engines`: of gateway 1, 2, …, the last for all others too."""

    gateway: str = ""
    engines: tuple[str, ...] = ()

    def engine(self, replica: int) -> str:
        return self.engines[min(replica, len(self.engines)) - 1] if self.engines else ""


def units(spec: Deployment, cpus: Cpus) -> dict[str, str]:
    """File name → text."""
    size = spec.gateway_size
    gateway = {
        "user": places.USER,
        "redis_group": places.REDIS_GROUP,
        "current": places.CURRENT,
        "config": places.CONFIG,
        "python": places.PYTHON,
        "stop_seconds": spec.gateways.stop_grace,
        "watchdog_seconds": watchdog_seconds(spec),
        "memory_mib": size.memory,
        "gateway_cpus": cpus.gateway,
        "open_files": spec.limits.open_files,
        "egress": spec.gateways.egress,
    }
    path, _ = native.balancer_file(spec, ())
    balancer = {
        "kind": edge.kind(spec),
        "user": places.BALANCER_USER,
        "file": path,
        "config": places.BALANCER,
        "run": places.BALANCER_RUN,
        "loaded": places.LOADED,
        "stop_seconds": _BALANCER_STOP,
        "memory_mib": spec.size("balancer").memory,
        "gateway_cpus": cpus.gateway,
        "open_files": spec.limits.open_files,
    }
    return {
        places.GATEWAY_UNITS: _rendered(places.GATEWAY_UNITS, gateway),
        places.BALANCER_UNIT: _rendered(places.BALANCER_UNIT, balancer),
        places.TARGET: _rendered(places.TARGET, {}),
    }


def watchdog_seconds(spec: Deployment) -> int:
    """How long a gateway's event loop may stand still."""
    return max(5, round(_WATCHDOG_LEASES * gateway_settings(spec).lease_ttl))


def gateway_files(spec: Deployment, cpus: Cpus, release: str) -> dict[int, str]:
    """Replica → text of its environment file, which ends with a fingerprint of all that it is started with."""
    unit = units(spec, cpus)[places.GATEWAY_UNITS]
    found = {}
    for replica in range(1, spec.gateways.replicas + 1):
        told = native.environment(spec, replica, cpus.engine(replica))
        mark = sha256("\0".join((release, unit, native.environment_file(told))).encode()).hexdigest()[:_DIGITS]
        found[replica] = native.environment_file(told | {native.FINGERPRINT: mark})
    return found


def fingerprint(text: str) -> str:
    """Of an environment file."""
    line = next(line for line in text.splitlines() if line.startswith(f"{native.FINGERPRINT}="))
    return shlex.split(line.partition("=")[2])[0]


def _rendered(name: str, values: dict[str, Any]) -> str:
    environment = Environment(  # noqa: S701 (not HTML; every text in the model has a pattern)
        loader=FileSystemLoader(_TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    sandbox = environment.get_template("sandbox.j2").render()
    return environment.get_template(f"{name}.j2").render(target=places.TARGET, sandbox=sandbox, **values) + "\n"
