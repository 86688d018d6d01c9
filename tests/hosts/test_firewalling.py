"""The order in which a firewall is changed, and what is said when a step fails."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from hosts import firewall_plan, firewalling
from hosts.firewall_facts import Firewall
from hosts.firewalling import Look
from hosts.inventory import Member
from hosts.ufw import Rule
from stacks.commands.failures import Failure, Interrupted
from stacks.commands.output import Output
from stacks.document import load
from stacks.machines import Machine

RULES = (Rule(22, "192.0.2.7", "ssh, the administrator who ran this", first=True),)
MEMBER = Member(Machine(address="192.0.2.1"), load({"topology": "compose"}))


class Recorder:
    """A session that remembers what was run on it; `fails` says at which step it breaks, and how."""

    name = "192.0.2.1"

    def __init__(self, steps: list[str], fails: dict[str, BaseException]) -> None:
        self.steps, self.fails = steps, fails

    def run(self, stage: Callable[..., None], *_plan: object, **_options: object) -> None:
        self._step(stage.__name__)

    def ask(self, question: Callable[..., Any], *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        self._step("connect")
        return question(self, *arguments, **options)

    def fact(self, _fact: object) -> Firewall:
        self._step("look")
        return Firewall()

    def run_shell_command(self, _command: str, **_options: object) -> tuple[bool, None]:
        self._step("the old connection")
        return True, None

    def _step(self, name: str) -> None:
        self.steps.append(name)
        if error := self.fails.get(name):
            raise error


def change(fails: dict[str, BaseException]) -> list[str]:
    steps: list[str] = []
    firewalling.change(Recorder(steps, fails), firewall_plan.plan(RULES, Firewall()))  # type: ignore[arg-type]
    return steps


def test_an_old_connection_is_there_before_and_asked_before_it_is_confirmed() -> None:
    assert change({}) == ["connect", "arm", "apply", "the old connection", "disarm"]


@pytest.mark.parametrize("step", ["apply", "the old connection", "disarm"])
def test_whatever_fails_the_host_goes_back_and_the_message_says_so(step: str) -> None:
    broken = OSError("gone") if step == "the old connection" else Failure("gone")
    with pytest.raises(Failure, match=r"gone; the host has its former firewall back"):
        change({step: broken})


def test_where_nothing_was_armed_nothing_went_back() -> None:
    with pytest.raises(Failure, match=r"^another run$"):
        change({"arm": Failure("another run")})


def test_a_host_that_stays_away_is_not_said_to_be_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firewalling, "_UNDONE_SECONDS", 0)
    with pytest.raises(Failure, match="cannot be asked"):
        change({"disarm": Failure("gone")})


def test_who_stops_it_is_told_that_the_host_goes_back() -> None:
    with pytest.raises(Interrupted, match="puts its former firewall back"):
        change({"apply": KeyboardInterrupt()})


@pytest.mark.parametrize(
    ("installed", "dry", "expected"),
    [
        (True, False, ["connect", "arm", "apply", "the old connection", "disarm"]),
        (False, False, ["install", "connect", "arm", "apply", "the old connection", "disarm"]),
        (True, True, []),
        (False, True, []),
    ],
)
def test_a_dry_run_shows_the_same_and_does_nothing(
    monkeypatch: pytest.MonkeyPatch, *, installed: bool, dry: bool, expected: list[str]
) -> None:
    steps: list[str] = []
    monkeypatch.setattr(firewalling, "Session", lambda _machine: Recorder(steps, {}))
    monkeypatch.setattr(firewalling, "look", lambda *_: Look(Firewall(installed=installed), RULES, "192.0.2.7"))
    output = Output(machine=True)
    output.console.file = io.StringIO()
    told = firewalling.firewall((MEMBER,), output, dry=dry)["hosts"]["192.0.2.1"]
    assert steps == expected
    assert told["changed"] is not dry
    assert "+ allow 22/tcp from 192.0.2.7: ssh, the administrator who ran this" in told["changes"]
