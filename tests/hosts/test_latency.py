"""The measurement before and after: real figures, and none that are noise."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from hosts import latency, latency_probe
from hosts.latency import Figures
from stacks.commands.output import Output

BEFORE = Figures((10.0, 11.0, 12.0), (20.0, 20.0, 20.0), (30.0, 30.0, 30.0), (1000.0, 1100.0, 1050.0))


def test_the_probe_measures_this_machine() -> None:
    probe = (
        Path(latency_probe.__file__)
        .read_text()
        .replace("ROUNDS = 5", "ROUNDS = 2")
        .replace("SECONDS = 0.4", "SECONDS = 0.05")
    )
    done = subprocess.run([sys.executable, "-"], input=probe, capture_output=True, text=True, check=True, timeout=30)
    found = msgspec.json.decode(done.stdout, type=Figures)
    assert len(found.p50) == 2
    assert all(low <= high for low, high in zip(found.p50, found.p999, strict=True))
    assert min(found.churn) > 10


def test_rounds_that_lie_apart_are_a_change_and_others_are_noise() -> None:
    after = Figures((8.0, 9.0, 9.5), (19.0, 20.0, 21.0), (40.0, 41.0, 42.0), (2000.0, 2100.0, 2050.0))
    changes = {one.what: one for one in latency.compare(BEFORE, after)}
    assert changes["round trip, median"].words == "-18 %"
    assert changes["round trip, 99 %"].words == "+0 %, within the rounds' spread"
    assert changes["round trip, 99.9 %"].words == "+37 %"
    assert changes["new connections"].words == "+95 %"


class FakeHost:
    """Answers the probe with what a test says."""

    def __init__(self, *, done: bool, out: list[str], err: list[str]) -> None:
        self._answer = (done, SimpleNamespace(stdout_lines=out, stderr_lines=err))

    def run_shell_command(self, _command: object, **_arguments: object) -> tuple[bool, SimpleNamespace]:
        return self._answer


def measured(**answer: Any) -> Figures | str:  # noqa: ANN401
    return latency.measure(FakeHost(**answer))  # type: ignore[arg-type]


def test_figures_are_read_from_the_probe() -> None:
    assert measured(
        done=True, out=[json.dumps({"p50": [1], "p99": [2], "p99.9": [3], "churn": [4]})], err=[]
    ) == Figures((1.0,), (2.0,), (3.0,), (4.0,))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"done": False, "out": [], "err": ["sh: 1: python3: not found"]}, "python3 is not there"),
        ({"done": False, "out": [], "err": ["OSError: no"]}, "the measurement failed: OSError: no"),
        ({"done": True, "out": ["hello"], "err": []}, "something else than figures"),
    ],
)
def test_where_there_are_no_figures_it_says_why(
    answer: dict[str, Any], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = measured(**answer)
    assert isinstance(found, str)
    assert why in found
    assert latency.show(found, BEFORE, Output()) == []
    assert f"latency not measured: {found}" in capsys.readouterr().out
