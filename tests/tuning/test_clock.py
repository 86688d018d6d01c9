"""What those say who keep the clock; chrony's lines were printed by 4.3."""

import pytest

from tests.tuning.kernels import host
from tuning.choices import Choices
from tuning.clock import MOST_SECONDS, Clock, of_chrony, of_timesyncd
from tuning.demand import Demand
from tuning.files import files
from tuning.machine import CHRONY_FILE
from tuning.topology import split
from tuning.verdict import clock

TRACKED = (
    "7F000001,127.0.0.1,4,1795737833.282951063,{},0.000001420,0.000002233,-0.078,0.077,3.168,"
    "0.000017856,0.000009090,2.0,Normal\n"
)
ALONE = (
    "00000000,,0,0.000000000,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,"
    "1.000000000,1.000000000,0.0,Not synchronised\n"
)
# From timedatectl(1).
TIMESYNC = """       Server: 216.58.198.14 (time1.google.com)
Poll interval: 1min 4s (min: 32s; max 34min 8s)
         Leap: normal
      Stratum: 1
       Offset: +316us
        Delay: 349us
"""


@pytest.mark.parametrize(
    ("offset", "verdict"),
    [("-0.000003234", "ok"), ("0.009999000", "ok"), ("-0.010100000", "differs"), ("0.500000000", "differs")],
)
def test_an_offset_of_chronys_is_held_to_the_limit_in_both_directions(offset: str, verdict: str) -> None:
    have = of_chrony(TRACKED.format(offset))
    assert have is not None
    assert (have.offset, have.stratum) == (float(offset), 4)
    row = clock(have, synchronised=False, container="docker")
    assert (row.verdict, row.want) == (verdict, "within 0.01 s")
    assert row.have == f"{abs(float(offset)):.6f} s off, stratum 4"


def test_how_wrong_chrony_itself_may_be_is_said() -> None:
    have = of_chrony(TRACKED.format("0.000001000"))
    assert have is not None
    assert have.bound == pytest.approx(0.000009090 + 0.000017856 / 2)
    assert "may be wrong by 0.000018 s" in clock(have, synchronised=True, container="").why


def test_a_chrony_without_a_server_keeps_no_clock() -> None:
    row = clock(of_chrony(ALONE), synchronised=False, container="")
    assert (row.verdict, row.have) == ("differs", "not synchronised")


def test_a_daemon_that_does_not_answer_says_nothing() -> None:
    assert of_chrony("506 Cannot talk to daemon\n") is None
    assert of_timesyncd("Failed to query server: The name org.freedesktop.timesync1 was not provided\n") is None


@pytest.mark.parametrize(
    ("offset", "seconds", "verdict"),
    [("+316us", 0.000316, "ok"), ("-12.5ms", -0.0125, "differs"), ("+1min 2.5s", 62.5, "differs"), ("0", 0.0, "ok")],
)
def test_systemds_own_daemon_is_asked_in_its_place(offset: str, seconds: float, verdict: str) -> None:
    have = of_timesyncd(TIMESYNC.replace("+316us", offset))
    assert have is not None
    assert have.offset == pytest.approx(seconds)
    assert clock(have, synchronised=True, container="").verdict == verdict


def test_systemds_own_daemon_before_its_first_answer() -> None:
    have = of_timesyncd(TIMESYNC.replace("       Offset: +316us\n", ""))
    assert have == Clock("systemd-timesyncd", None, 0)


@pytest.mark.parametrize(
    ("synchronised", "container", "verdict"),
    [(False, "docker", "unavailable"), (False, "", "missing"), (True, "", "unavailable")],
)
def test_where_nobody_says_an_offset(synchronised: bool, container: str, verdict: str) -> None:  # noqa: FBT001
    assert clock(None, synchronised=synchronised, container=container).verdict == verdict


def test_chrony_logs_what_verify_tells() -> None:
    assert f"logchange {MOST_SECONDS}\n" in files((), host(), Demand(), Choices(), split(host().cpus))[CHRONY_FILE]
