"""Engines have cores of their own where there are enough."""

from __future__ import annotations

import pytest

from hosts.cores import share
from hosts.units import Cpus


@pytest.mark.parametrize(
    ("gateway", "engine", "replicas", "shared"),
    [
        ((0, 1), (), 3, Cpus()),
        ((0, 1), ((0,), (1,)), 3, Cpus()),
        ((1,), ((2,), (3,)), 2, Cpus("1", ("2", "3"))),
        ((1,), ((2,), (3,)), 3, Cpus("1", ("2-3",))),
        ((1, 2, 9, 10), ((3, 11), (4, 12), (5, 13)), 3, Cpus("1-2,9-10", ("3,11", "4,12", "5,13"))),
        ((1,), ((2,), (3,), (4,), (5,)), 3, Cpus("1", ("2,5", "3", "4"))),
    ],
)
def test_cores_are_shared_out(
    gateway: tuple[int, ...], engine: tuple[tuple[int, ...], ...], replicas: int, shared: Cpus
) -> None:
    assert share(gateway, engine, replicas) == shared
