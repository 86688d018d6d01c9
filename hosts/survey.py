"""A host as it is, what is remembered of it as it was, and what is planned for it: read and computed, nothing changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host

from hosts import changes, demand, tuning_packages
from hosts.facts import parse
from hosts.facts.machine import machine as of_reading
from hosts.facts.reading import ModuleUsers, Reading
from hosts.inventory import Member
from hosts.listeners import MARKS
from hosts.places import STATE_DIR
from stacks.machines import Hosts
from tuning.choices import Choices
from tuning.machine import (
    INTERRUPTS_LINK,
    INTERRUPTS_RUN,
    OUR_FILES,
    SYSCTL_DIRS,
    SYSFS_PATTERNS,
    UFW_DEFAULTS_FILE,
    UFW_FILE,
    UFW_SYSCTL_FILE,
    Machine,
    folders,
    unfinished,
)
from tuning.plan import Plan, TuningError, plan
from tuning.since import since
from tuning.snapshot import Snapshot, Undo, decode, dropped, of_boot, original, undo

SNAPSHOT: Final = f"{STATE_DIR}/snapshot.json"
STATE_FOLDERS: Final = folders([SNAPSHOT])[:2]
_OURS: Final = (*OUR_FILES, SNAPSHOT)
_PLACES: Final = (*folders(_OURS), *map(unfinished, _OURS), INTERRUPTS_LINK, INTERRUPTS_RUN, *MARKS)
# What decides at boot besides the folders of sysctl.d.
_OTHERS: Final = ("/etc/sysctl.conf", UFW_FILE, UFW_DEFAULTS_FILE, UFW_SYSCTL_FILE)


class Survey(NamedTuple):
    """`snapshot`: as it was before it was first tuned; None when it is not tuned. `plan`: from what was then."""

    machine: Machine
    snapshot: Snapshot | None
    plan: Plan

    @property
    def back(self) -> Undo:
        """What an earlier plan changed and this one does not."""
        return dropped(self.snapshot, self.plan, self.machine) if self.snapshot else Undo({}, {}, (), {})


def remembered(host: Host) -> tuple[Machine, Snapshot | None]:
    """Raises PyinfraError when the host's snapshot cannot be understood."""
    wanted = [*OUR_FILES, *_OTHERS, *(f"{folder}/*.conf" for folder in SYSCTL_DIRS), SNAPSHOT]
    reading = host.get_fact(Reading, patterns=SYSFS_PATTERNS, files=tuple(dict.fromkeys(wanted)), places=_PLACES)
    if not reading.get("sysctls"):
        raise PyinfraError("`sysctl -a` says nothing on this host: install procps")
    files = parse.files(reading.get("files", []))
    text = files.pop(SNAPSHOT, None)
    machine = of_reading(reading, {**dict.fromkeys(OUR_FILES), **files})
    if text is None:
        return machine, None
    try:
        return machine, of_boot(decode(text), machine)
    except msgspec.MsgspecError as error:
        raise PyinfraError(
            f"{SNAPSHOT}, which remembers the host as it was, cannot be understood: {error}; move it away if it is no more wanted"
        ) from error


def survey(host: Host, member: Member) -> Survey:
    """Raises PyinfraError, also when settings contradict each other."""
    machine, snapshot = remembered(host)
    before = original(snapshot, machine) if snapshot else machine
    try:
        planned = plan(member.machine.roles, before, demand.of(member), choices(member.spec.hosts))
    except TuningError as error:
        raise PyinfraError(str(error)) from error
    return Survey(machine, snapshot, planned)


def document(seen: Survey) -> list[dict[str, Any]]:
    """Every setting as plain data. `before`: before the host was first tuned; what is lowered is so against that, or now."""
    return [
        {
            "what": one.setting.key,
            "kind": one.setting.kind,
            "rule": one.setting.rule,
            "want": now.want,
            "before": one.current,
            "action": now.action,
            "lowers": now.lowers or (one.lowers and now.action == "set"),
            "why": now.why,
            "source": one.setting.source,
        }
        for one, now in zip(seen.plan.settings, since(seen.plan, seen.machine), strict=True)
    ]


def undoing(host: Host) -> Iterator[str]:
    """What `untune` would change, as lines of a diff."""
    machine, snapshot = remembered(host)
    if snapshot is None:
        return
    yield from changes.back(undo(snapshot, machine), machine)
    yield from tuning_packages.lines_back(tuning_packages.back(host, snapshot.packages))


def stays(host: Host, snapshot: Snapshot) -> list[str]:
    """After `untune`: modules of ours that others use by then, in words."""
    users: dict[str, str] = host.get_fact(ModuleUsers)
    return [
        f"module {name} stays, with its values: {users[name] or 'something'} uses it"
        for name in snapshot.modules
        if name in users
    ]


def choices(hosts: Hosts) -> Choices:
    return Choices(
        level=hosts.tuning, huge_pages=hosts.huge_pages, fast_open=hosts.fast_open, may_lower=hosts.may_lower
    )
