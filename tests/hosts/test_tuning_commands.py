"""`tune` and `untune` from the first look to the report, on a host that nobody has."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from hosts import latency, survey, tuning_commands, tuning_packages, tuning_stage
from hosts.facts.packages import Foreseen, Installed
from hosts.inventory import Member, members
from hosts.latency import Figures
from hosts.session import Step
from hosts.survey import Survey
from stacks.commands.failures import Failure, Interrupted
from stacks.commands.output import Output
from tests.hosts.test_look import GOOD
from tuning.machine import Machine as Facts
from tuning.plan import Plan, Planned
from tuning.profile import Setting
from tuning.snapshot import Snapshot

SETTING = Setting(key="vm.swappiness", value="1", rule="exactly", reason="a reason of some length", source="a page")
FIGURES = Figures((1.0,), (2.0,), (3.0,), (4.0,))
[MEMBER] = members("192.0.2.7")


class Fake:
    """In place of a session: a host that has a value, and does what it is told."""

    have = "60"
    planned = Planned(SETTING, "1", "60", "set", "why")
    snapshot: Snapshot | None = None
    look = GOOD
    interrupted = False
    needs = tuning_packages.Needed((), Foreseen(), Installed({}, frozenset(), frozenset()))

    def __init__(self, machine: Any, _told: Callable[[str], None] = print) -> None:  # noqa: ANN401
        self.name = machine.address

    def fact(self, _fact: object) -> object:
        return self.look._replace(clock=time.time())

    def ask(self, question: object, *_more: object) -> object:
        if question is latency.measure:
            return FIGURES
        if question is tuning_packages.needed:
            return self.needs
        if question is survey.remembered:
            return Facts(), None
        sysctls = {"vm.swappiness": self.have, "net.core.rmem_max": "67108864", "net.core.wmem_max": "212992"}
        return Survey(Facts(sysctls=sysctls), self.snapshot, Plan((self.planned,), {}))

    def run(self, stage: object, _argument: object) -> tuple[Step, ...]:
        if stage is not tuning_stage.apply:
            return ()
        if self.interrupted:
            raise KeyboardInterrupt
        return (Step("sysctl", changed=self.have != "1"),)


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(tuning_commands, "Session", Fake)
    return monkeypatch


def tune(*, dry: bool = False, several: tuple[Member, ...] = (MEMBER,)) -> dict[str, Any]:
    [document] = tuning_commands.tune(several, Output(machine=True), dry=dry)["hosts"]
    assert isinstance(document, dict)
    return document


def test_what_changed_is_told_with_the_figures_before_and_after() -> None:
    document = tune()
    assert document["changed"] == ["sysctl"]
    assert [row["what"] for row in document["report"]][:1] == ["round trip, median"]
    [setting] = document["settings"]
    assert (setting["what"], setting["before"], setting["want"], setting["action"]) == (
        "vm.swappiness",
        "60",
        "1",
        "set",
    )


@pytest.mark.parametrize("dry", [False, True])
def test_what_is_lowered_is_said_with_from_to_and_why(capsys: pytest.CaptureFixture[str], dry: bool) -> None:  # noqa: FBT001
    document = tune(dry=dry)
    assert document["lowered"] == [{"what": "vm.swappiness", "from": "60", "to": "1", "why": SETTING.reason}]
    assert document["settings"][0]["lowers"] is True
    assert "vm.swappiness: lowered from 60 to 1: a reason of some length" in capsys.readouterr().err


def test_what_was_lowered_before_is_not_said_again(fake: pytest.MonkeyPatch) -> None:
    fake.setattr(Fake, "have", "1")
    assert tune()["lowered"] == []


def test_a_value_that_somebody_raised_since_is_said_to_be_lowered(
    fake: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was before the first tuning was less than ours."""
    fake.setattr(Fake, "planned", Planned(SETTING, "1", "0", "set", "why"))
    document = tune()
    assert document["lowered"] == [{"what": "vm.swappiness", "from": "60", "to": "1", "why": SETTING.reason}]
    assert (document["settings"][0]["before"], document["settings"][0]["lowers"]) == ("0", True)
    assert "vm.swappiness: lowered from 60 to 1" in capsys.readouterr().err


def test_what_is_put_back_because_it_is_no_more_wanted_is_shown_and_said(
    fake: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.setattr(Fake, "have", "1")
    before = {"net.core.rmem_max": "212992", "net.core.wmem_max": "4194304"}
    fake.setattr(Fake, "snapshot", Snapshot(before, {}, (), {}))
    document = tune(dry=True)
    assert [(one["what"], one["from"], one["to"]) for one in document["lowered"]] == [
        ("net.core.rmem_max", "67108864", "212992")
    ]
    assert document["diff"] == [
        "-net.core.rmem_max = 67108864", "+net.core.rmem_max = 212992",
        "-net.core.wmem_max = 212992", "+net.core.wmem_max = 4194304",
    ]  # fmt: skip
    assert "net.core.rmem_max: lowered from 67108864 to 212992: what this host is for now" in capsys.readouterr().err


def test_a_value_that_somebody_made_better_since_is_kept_and_said(
    fake: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raised = Setting(key="vm.swappiness", value="50", reason="a reason of some length", source="a page")
    fake.setattr(Fake, "planned", Planned(raised, "50", "0", "set", "why"))
    document = tune(dry=True)
    assert (document["lowered"], document["diff"]) == ([], [])
    assert "vm.swappiness: refused lower: somebody set 60 since, which stays" in capsys.readouterr().err


def test_packages_are_shown_before_they_are_installed(
    fake: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    foreseen = Foreseen(("chrony",), {"systemd-timesyncd": "252"}, ())
    fake.setattr(Fake, "needs", tuning_packages.Needed(("chrony",), foreseen, Installed({}, frozenset(), frozenset())))
    document = tune(dry=True)
    assert document["diff"][:2] == ["-package systemd-timesyncd", "+package chrony"]
    assert document["packages"] == {
        "install": ["chrony"], "upgrade": [], "remove": ["systemd-timesyncd"], "refused": "",
    }  # fmt: skip
    assert "packages: to install chrony; to remove systemd-timesyncd" in capsys.readouterr().err


def test_where_nothing_changes_nothing_is_measured(fake: pytest.MonkeyPatch) -> None:
    fake.setattr(Fake, "have", "1")
    document = tune()
    assert (document["changed"], document["report"]) == ([], [])


def test_a_dry_run_is_a_diff_and_runs_nothing(fake: pytest.MonkeyPatch) -> None:
    fake.setattr(Fake, "run", None)
    assert tune(dry=True)["diff"] == ["-vm.swappiness = 60", "+vm.swappiness = 1"]


def test_a_host_that_will_not_do_stops_it_before_any_is_changed(fake: pytest.MonkeyPatch) -> None:
    fake.setattr(Fake, "look", GOOD._replace(system="fedora"))
    fake.setattr(Fake, "run", None)
    with pytest.raises(Failure, match="nothing was changed:\n  system: wanted Debian"):
        tune(several=(MEMBER, MEMBER))


def test_stopped_in_the_middle_it_says_how_to_go_on(fake: pytest.MonkeyPatch) -> None:
    fake.setattr(Fake, "interrupted", True)
    with pytest.raises(Interrupted, match="`make untune` gives back"):
        tune()


def test_untune_of_a_host_that_is_not_tuned_is_no_failure() -> None:
    assert tuning_commands.untune((MEMBER,), Output(machine=True)) == {
        "hosts": [{"host": "192.0.2.7", "changed": [], "stays": []}]
    }
