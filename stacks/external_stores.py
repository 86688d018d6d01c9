"""External stores are said twice: by host and port in the description, which gateways are let through to, and by a secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from stacks import ports
from stacks.refusals import Refusal
from stacks.spec import Deployment

_REMEDY: Final = "make both say the same"


def problems(given: Mapping[str, Any], spec: Deployment, path: str) -> Iterator[Refusal]:
    """Of the two that the description has outside. No refusal shows where a secret leads: it may be a part of a password."""
    for name, store, secret in (("postgres", spec.postgres, "postgres_dsn"), ("redis", spec.redis, "redis_url")):
        value = given.get(secret)
        if store.store != "external" or not isinstance(value, str) or not value:
            continue
        try:
            place = _of_dsn(value) if name == "postgres" else _of_url(value)
        except (psycopg.Error, ValueError):
            continue  # refused for its form
        if (place[0].lower(), place[1]) != (store.host.lower(), store.port):
            rule = f"leads elsewhere than {name}.host and {name}.port say, which are {store.host} and {store.port}"
            yield Refusal(f"{path}.{secret}", None, rule, _REMEDY)


def _of_dsn(dsn: str) -> tuple[str, int]:
    """Libpq's words; several hosts are one text here, which is no host of the description."""
    said = conninfo_to_dict(dsn)
    return str(said.get("host") or said.get("hostaddr") or ""), int(said.get("port") or ports.POSTGRES)


def _of_url(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or ports.REDIS
