"""Engines have cores of their own where there are enough."""

from __future__ import annotations

import pytest

from hosts.cores import of_cpus, share, whole_cores
from hosts.units import Cpus
from tuning.machine import Cpu


@pytest.mark.parametrize(
    ("gateway", "engine", "replicas", "shared"),
    [
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


def test_hyper_threads_of_a_core_stay_together() -> None:
    cpus = [Cpu(cpu, cpu % 4, 0, 0) for cpu in range(8)]
    assert whole_cores(cpus, (2, 3, 6, 7)) == [(2, 6), (3, 7)]


def test_on_a_small_machine_nothing_is_pinned() -> None:
    assert of_cpus([Cpu(0, 0, 0, 0), Cpu(1, 1, 0, 0)], 3) == Cpus()


def test_on_a_large_one_engines_and_gateways_share_no_cpu() -> None:
    cpus = of_cpus([Cpu(cpu, cpu % 8, 0, 0) for cpu in range(16)], 3)
    assert cpus.gateway
    assert len(set(cpus.engines)) == len(cpus.engines)
    assert cpus.gateway not in cpus.engines
