"""A test for each value of the plan and for the clock; each writes a row, and fails when it is not as planned."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import pytest

from hosts.verification.subject import GOOD, PLACE, PLAN, ROWS
from tuning.plan import Plan
from tuning.verdict import Row

Judge: TypeAlias = Callable[[Row], None]
_rows: pytest.StashKey[list[Row]] = pytest.StashKey()


def place() -> Path:
    return Path(os.environ[PLACE])


def plan() -> Plan:
    return msgspec.json.decode((place() / PLAN).read_bytes(), type=Plan)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_rows] = []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`sysctl`, `sysfs`, `module`: a setting of the plan; `file`: path and text of one of its files."""
    whole = plan()
    for kind in ("sysctl", "sysfs", "module"):
        if kind in metafunc.fixturenames:
            chosen = [one for one in whole.settings if one.setting.kind == kind]
            metafunc.parametrize(kind, chosen, ids=[one.setting.key for one in chosen])
    if "file" in metafunc.fixturenames:
        metafunc.parametrize("file", list(whole.files.items()), ids=list(whole.files))


@pytest.fixture
def judged(request: pytest.FixtureRequest) -> Judge:
    def judge(row: Row) -> None:
        request.config.stash[_rows].append(row)
        assert row.verdict in GOOD, f"{row.what}: wanted {row.want}, have {row.have}: {row.why}"

    return judge


@pytest.fixture(scope="session")
def remembered() -> dict[str, Any]:
    """What is read once for all tests."""
    return {}


def pytest_sessionfinish(session: pytest.Session) -> None:
    (place() / ROWS).write_bytes(msgspec.json.encode(session.config.stash[_rows]))
