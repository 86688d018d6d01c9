import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuning.machine import Cpu
from tuning.topology import cpu_list, mask, split


def _machine(sockets: int, cores: int, threads: int) -> tuple[Cpu, ...]:
    """CPUs numbered as Linux does: all first threads, then all second ones. A memory node a socket."""
    places = [(socket, core) for _ in range(threads) for socket in range(sockets) for core in range(cores)]
    return tuple(Cpu(number, core, socket, socket) for number, (socket, core) in enumerate(places))


@pytest.mark.parametrize(
    ("shape", "gateways", "housekeeping", "gateway", "engine"),
    [
        ((1, 4, 1), 1, (0, 1), (2,), (3,)),
        ((1, 4, 2), 1, (0, 1, 4, 5), (2, 6), (3, 7)),
        ((1, 3, 1), 3, (0,), (1,), (2,)),
        ((1, 2, 2), 1, (0, 2), (0, 2), (1, 3)),
        ((2, 4, 1), 2, (0, 1, 2, 3), (4, 5), (6, 7)),
    ],
)
def test_cores_are_split_whole(
    shape: tuple[int, int, int],
    gateways: int,
    housekeeping: tuple[int, ...],
    gateway: tuple[int, ...],
    engine: tuple[int, ...],
) -> None:
    cores = split(_machine(*shape), gateways)
    assert (cores.housekeeping, cores.gateway, cores.engine) == (housekeeping, gateway, engine)
    assert not cores.shared


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 1), (1, 1, 2), (1, 1, 8)])
def test_a_small_machine_shares_and_says_so(shape: tuple[int, int, int]) -> None:
    cores = split(_machine(*shape))
    assert cores.shared
    assert cores.housekeeping == cores.gateway == cores.engine != ()
    assert "too few" in cores.why


def test_a_host_without_gateways_keeps_all_cores() -> None:
    cores = split(_machine(1, 4, 1), 0)
    assert (cores.housekeeping, cores.gateway, cores.engine) == ((0, 1, 2, 3), (), ())


def test_cpus_that_are_off_are_not_used() -> None:
    cpus = (*_machine(1, 3, 1), Cpu(3, 3, 0, 0, online=False))
    assert 3 not in {*split(cpus).housekeeping, *split(cpus).gateway, *split(cpus).engine}


@given(st.integers(1, 4), st.integers(1, 16), st.integers(1, 2), st.integers(1, 20))
def test_engines_have_their_cores_for_themselves(sockets: int, cores: int, threads: int, gateways: int) -> None:
    cpus = _machine(sockets, cores, threads)
    found = split(cpus, gateways)
    everything = {*found.housekeeping, *found.gateway, *found.engine}
    assert everything == {one.cpu for one in cpus}
    assert 0 in found.housekeeping
    if not found.shared:
        assert not set(found.engine) & {*found.housekeeping, *found.gateway}
        of = {one.cpu: (one.socket, one.core) for one in cpus}
        others = {of[cpu] for cpu in (*found.housekeeping, *found.gateway)}
        assert not {of[cpu] for cpu in found.engine} & others


def test_lists_and_masks_are_spelled_as_the_kernel_does() -> None:
    assert cpu_list((5, 0, 1, 2)) == "0-2,5"
    assert mask((0, 1), "00") == "03"
    assert mask((0, 33), "00000000,00000000") == "00000002,00000001"
    assert mask((0, 33)) == "2,00000001"
    assert mask((3,), "0,00000000") == "0,00000008"
