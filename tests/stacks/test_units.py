"""Spellings: what Docker, Go and Kubernetes call a quantity, and that nothing is lost in it."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacks import units

BINARY = {"Mi": 1, "Gi": 1024, "Ti": 1024 * 1024}
SECONDS = {"h": Decimal(3600), "m": Decimal(60), "s": Decimal(1), "ms": Decimal("0.001")}


@pytest.mark.parametrize(
    ("millicores", "docker", "kubernetes"),
    [
        (500, 50_000, "500m"),
        (1000, 100_000, "1"),
        (1500, 150_000, "1500m"),
        (50, 5000, "50m"),
        (10_000, 1_000_000, "10"),
    ],
)
def test_cores(millicores: int, docker: int, kubernetes: str) -> None:
    assert (units.docker_cpu_quota(millicores), units.kubernetes_cpu(millicores)) == (docker, kubernetes)


@pytest.mark.parametrize(
    ("mib", "text"),
    [(512, "512Mi"), (1024, "1Gi"), (1536, "1536Mi"), (10_240, "10Gi"), (1024**2, "1Ti"), (1024**3, "1024Ti")],
)
def test_memory_as_kubernetes_has_it(mib: int, text: str) -> None:
    assert units.kubernetes_memory(mib) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    # time.Duration.String() of Go
    [(0, "0s"), (0.5, "500ms"), (1, "1s"), (1.5, "1.5s"), (30, "30s"), (60, "1m0s"), (90, "1m30s"), (3600, "1h0m0s")],
)
def test_durations_as_docker_gives_them_back(seconds: float, text: str) -> None:
    assert units.docker_duration(seconds) == text


@given(st.integers(1, 256_000))
def test_no_core_is_lost(millicores: int) -> None:
    assert units.docker_cpu_quota(millicores) * 1000 == millicores * units.DOCKER_CPU_PERIOD
    text = units.kubernetes_cpu(millicores)
    assert int(text.removesuffix("m")) * (1 if text.endswith("m") else 1000) == millicores


@given(st.integers(1, 10**9))
def test_no_byte_is_lost(mib: int) -> None:
    text = units.kubernetes_memory(mib)
    assert int(text[:-2]) * BINARY[text[-2:]] == mib
    assert units.docker_memory(mib) == mib
    assert units.bytes_of(mib) == mib * 1024 * 1024


@given(st.integers(0, 10**9))
def test_no_millisecond_is_lost(milliseconds: int) -> None:
    parts = re.findall(r"([0-9.]+)(h|ms|m|s)", units.docker_duration(milliseconds / 1000))
    assert sum(Decimal(number) * SECONDS[unit] for number, unit in parts) * 1000 == milliseconds
