"""An external store is where the description and its secret both say."""

from __future__ import annotations

import re
from typing import Any

import pytest

from stacks.document import load
from stacks.external_stores import problems
from stacks.refusals import SpecError

DSN = "postgresql://veloz:secret-word@db.example.com/veloz"
URL = "rediss://:secret-word@cache.example.com:6380/0"


def spec(postgres: dict[str, Any] | None = None, redis: dict[str, Any] | None = None) -> Any:  # noqa: ANN401
    return load(
        {
            "topology": "compose",
            "postgres": {"store": "external", "host": "db.example.com"} | (postgres or {}),
            "redis": {"store": "external", "host": "cache.example.com", "port": 6380} | (redis or {}),
        }
    )


def said(dsn: str, url: str = URL, **changes: Any) -> list[str]:  # noqa: ANN401
    return [str(one) for one in problems({"postgres_dsn": dsn, "redis_url": url}, spec(**changes), "veloz:secrets")]


@pytest.mark.parametrize(
    "dsn", [DSN, "postgresql://veloz@db.example.com:5432/veloz?sslmode=require", "host=db.example.com user=veloz"]
)
def test_the_same_place_in_any_words_is_taken(dsn: str) -> None:
    assert said(dsn) == []


@pytest.mark.parametrize(
    "dsn",
    [
        DSN.replace("db.", "db2."),
        DSN.replace(".com", ".com:6432"),
        "host=db.example.com,db2.example.com",
        "dbname=veloz",
        "postgresql://secret-word:4711/x@db.example.com/veloz",  # a password with a slash reads as host and port
    ],
)
def test_another_place_is_refused_and_nothing_of_the_secret_shown(dsn: str) -> None:
    (one,) = said(dsn)
    assert "leads elsewhere than postgres.host and postgres.port say, which are db.example.com and 5432" in one
    assert not {"secret-word", "4711", "db2", "6432"} & set(re.findall(r"[\w-]+", one))


def test_another_port_of_redis_is_refused() -> None:
    (one,) = said(DSN, URL.replace(":6380", ""))
    assert "which are cache.example.com and 6380" in one


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "db.localhost"])
def test_a_store_that_only_the_machine_itself_reaches_is_refused(host: str) -> None:
    with pytest.raises(SpecError, match="is this machine to nobody but itself"):
        spec(postgres={"host": host})
