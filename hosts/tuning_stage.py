"""Tuning as pyinfra operations: `session.run(tuning_stage.apply, member)`, or in a deploy of pyinfra's own command.

Each operation that runs leaves the host in a state that `undo` knows the way back from: what was there is on the disk before
the first write, and what a killed run set counts as set.
"""

from __future__ import annotations

from pyinfra import host

from hosts import changes, lock, operations, package_operations, told, tuning_packages
from hosts.inventory import Member
from hosts.listeners import Listener, hearing
from hosts.survey import SNAPSHOT, STATE_FOLDERS, remembered, survey
from tuning.machine import INTERRUPTS, INTERRUPTS_LINK, INTERRUPTS_RUN, INTERRUPTS_UNIT, UNIT_FILES, Machine
from tuning.plan import Plan
from tuning.snapshot import Snapshot, Undo, encode, merge, take
from tuning.snapshot import undo as way_back


def apply(member: Member) -> None:
    """Under the host's lock: read, plan, remember, then change what is not as planned."""
    lock.take(host)
    seen = survey(host, member)
    now, plan = seen.machine, seen.plan
    needs = tuning_packages.checked(tuning_packages.needed(host, plan))
    memory = take(plan, now, needs.memory(now), (SNAPSHOT,))
    if seen.snapshot:
        memory = merge(seen.snapshot, memory)
    old = encode(seen.snapshot) if seen.snapshot else None
    if seen.snapshot or needs.names or any(changes.lines(plan, now)):
        operations.file_kept(name="remember what is there", path=SNAPSHOT, text=encode(memory), have=old, mode="600")
        told.keep(host, member)
    if needs.names:
        package_operations.installed(name=f"packages {' '.join(needs.names)}", wanted=needs)
    hear = hearing({**seen.back.files, **plan.files}, now)
    _note(hear)
    if seen.snapshot:
        _put_back(seen.back, now)
    _values(plan, now)
    for path, text in plan.files.items():
        operations.file_kept(name=f"file {path}", path=path, text=text, have=now.files.get(path))
    _tell(hear)
    enabled = INTERRUPTS_UNIT in plan.files and INTERRUPTS_LINK not in now.there
    operations.told(name=f"{INTERRUPTS} at boot", command=f"systemctl -q enable {INTERRUPTS}", when=enabled)


def undo(_member: Member | None = None) -> None:
    """Under the host's lock: what was there comes back; only then it is forgotten."""
    lock.take(host)
    now, snapshot = remembered(host)
    if snapshot is None:
        if now.empty & set(STATE_FOLDERS):  # the machine went down between two steps of forgetting
            operations.folders_gone(name="no empty folders of ours", paths=STATE_FOLDERS)
        return
    back = way_back(snapshot, now)
    hear = hearing(back.files, now)
    _note(hear)
    _put_back(back, now)
    _tell(hear)
    _packages_back(snapshot)
    told.forget(host)
    operations.forgotten(name="forget what was there", path=SNAPSHOT, paths=snapshot.folders)


def _put_back(back: Undo, now: Machine) -> None:
    """Files first: a boot in between gives no value of ours again. The unit's last: it is needed to stop it."""
    unit = INTERRUPTS_UNIT in back.files and now.files.get(INTERRUPTS_UNIT) is not None
    starts = unit and INTERRUPTS_LINK in now.there
    operations.told(name=f"no {INTERRUPTS} at boot", command=f"systemctl -q disable {INTERRUPTS}", when=starts)
    _files({path: text for path, text in back.files.items() if path not in UNIT_FILES}, now)
    for key, value in back.sysctls.items():
        operations.sysctl_set(name=f"sysctl {key} = {value}", key=key, value=value, have=now.sysctls.get(key))
    for path, value in back.sysfs.items():
        operations.sysfs_set(name=f"{path} = {value}", path=path, value=value, have=now.sysfs.get(path))
    for module in back.modules:
        operations.module_gone(name=f"no module {module}", module=module, loaded=module in now.modules)
    runs = unit and INTERRUPTS_RUN in now.there
    operations.told(name=f"stop {INTERRUPTS}", command=f"systemctl stop {INTERRUPTS}", when=runs)
    _files({path: text for path, text in back.files.items() if path in UNIT_FILES}, now)
    operations.unfinished_gone(name="no unfinished files", paths=back.unfinished)
    operations.folders_gone(name="no empty folders of ours", paths=back.folders)


def _files(texts: dict[str, str | None], now: Machine) -> None:
    for path, text in texts.items():
        have = now.files.get(path)
        if text is None:
            operations.file_gone(name=f"no file {path}", path=path, have=have)
        else:
            operations.file_kept(name=f"file {path} as before", path=path, text=text, have=have)


def _packages_back(snapshot: Snapshot) -> None:
    """Last: the tools that all else was undone with may be among them."""
    if way := tuning_packages.back(host, snapshot.packages):
        package_operations.put_back(name="packages as before", way=way)


def _values(plan: Plan, now: Machine) -> None:
    for one in changes.settings(plan, now):
        key, want, have = one.setting.key, one.want, changes.value(now, one.setting)
        match one.setting.kind:
            case "module":
                operations.module_loaded(name=f"module {key}", module=key, loaded=have is not None)
            case "sysctl":
                operations.sysctl_set(name=f"sysctl {key} = {want}", key=key, value=want, have=have)
            case "sysfs":
                operations.sysfs_set(name=f"{key} = {want}", path=key, value=want, have=have)


def _note(hear: tuple[Listener, ...]) -> None:
    """Before the first file changes."""
    operations.marked(name="note who is to hear of it", paths=tuple(one.mark for one in hear))


def _tell(hear: tuple[Listener, ...]) -> None:
    for one in hear:
        operations.told(name=one.name, command=one.command, when=True, mark=one.mark)
