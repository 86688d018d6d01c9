import msgspec
import pytest

from tests.tuning.kernels import host
from tests.tuning.test_plan import DEMAND
from tuning.choices import Choices
from tuning.machine import CHRONY_FILE
from tuning.plan import plan
from tuning.profile import ROLES, Level


@pytest.mark.parametrize(
    ("clocks", "level", "installed", "configured"),
    [
        ((), "base", True, True),
        ((), "low_latency", True, True),
        (("systemd-timesyncd",), "low_latency", True, True),
        (("systemd-timesyncd",), "network", False, False),
        (("systemd-timesyncd",), "base", False, False),
        (("chrony",), "low_latency", False, True),
        (("chronyd", "systemd-timesyncd"), "base", False, True),
        (("ntpsec",), "low_latency", False, False),
        (("openntpd", "systemd-timesyncd"), "low_latency", False, False),
        (("phc2sys@eth0",), "low_latency", False, False),
    ],
)
def test_chrony_comes_where_nobody_keeps_the_clock_or_where_engines_need_better(
    clocks: tuple[str, ...],
    level: Level,
    installed: bool,  # noqa: FBT001 - a case
    configured: bool,  # noqa: FBT001
) -> None:
    machine = msgspec.structs.replace(host(), clocks=frozenset(clocks))
    found = plan(ROLES, machine, DEMAND, Choices(level=level))
    assert (list(found.packages) == ["chrony"]) == installed
    assert (CHRONY_FILE in found.files) == configured


def test_a_containers_clock_is_the_machines() -> None:
    found = plan(ROLES, msgspec.structs.replace(host(), container="docker", clocks=frozenset()), DEMAND, Choices())
    assert found.packages == {}
    assert CHRONY_FILE not in found.files
