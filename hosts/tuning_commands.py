"""`tune` and `untune`: look, measure, change, measure, say what was done."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from hosts import changes, latency, preflight, survey, tuning_packages, tuning_stage
from hosts.facts.look import LookAround
from hosts.inventory import Member
from hosts.session import Session, Step
from hosts.survey import Survey
from stacks.commands.failures import Interrupted
from stacks.commands.findings import show
from stacks.commands.output import Output
from tuning.rules import lowers
from tuning.since import since


def tune(members: tuple[Member, ...], output: Output, *, dry: bool = False) -> dict[str, Any]:
    """Raises Failure when a host will not do, cannot be reached, or refuses a value; what was done before stays."""
    looked = [_look(member, output) for member in members]  # at all of them, before the first is changed
    return {"hosts": [_tune(member, seen, output, dry=dry) for member, seen in zip(members, looked, strict=True)]}


def _look(member: Member, output: Output) -> Survey:
    session = Session(member.machine)
    output.say(f"{session.name}: is for {', '.join(member.machine.roles)}", "bold")
    show(list(preflight.findings(session.fact(LookAround), time.time())), output)
    return session.ask(survey.survey, member)


def _tune(member: Member, seen: Survey, output: Output, *, dry: bool) -> dict[str, Any]:
    session = Session(member.machine)
    needs = session.ask(tuning_packages.needed, seen.plan)
    lowered = _told(seen, output)
    document: dict[str, Any] = {
        "host": session.name,
        "settings": survey.document(seen),
        "lowered": lowered,
        "packages": _packages(seen, needs, output),
        "changed": [],
        "report": [],
    }
    lines = [
        *tuning_packages.lines(needs.apt),
        *changes.back(seen.back, seen.machine),
        *changes.lines(seen.plan, seen.machine),
    ]
    if dry:
        for line in lines or ["nothing would change"]:
            output.say(line, "green" if line.startswith("+") else "red" if line.startswith("-") else "")
        return document | {"dry": True, "diff": lines}
    before: latency.Figures | str = ""
    if lines:
        with output.step(f"{session.name}: measuring"):
            before = session.ask(latency.measure)
    with output.step(f"{session.name}: tuning") as progress:
        steps = _run(member, progress, tuning_stage.apply)
        progress(_count(steps))
    document["changed"] = [step.name for step in steps if step.changed]
    if not document["changed"]:
        output.say(f"{session.name} was so already: 0 changes")
        return document
    if not lines:
        return document
    with output.step(f"{session.name}: measuring again"):
        after = session.ask(latency.measure)
    document["report"] = latency.show(before, after, output)
    return document


def untune(members: tuple[Member, ...], output: Output, *, dry: bool = False) -> dict[str, Any]:
    """Raises Failure when a host cannot be reached or a value is refused; the snapshot stays until all is as before."""
    return {"hosts": [_untune(member, output, dry=dry) for member in members]}


def _untune(member: Member, output: Output, *, dry: bool) -> dict[str, Any]:
    session = Session(member.machine)
    if dry:
        lines = session.ask(lambda host: list(survey.undoing(host)))
        for line in lines or ["nothing would change"]:
            output.say(line)
        return {"host": session.name, "changed": [], "dry": True, "diff": lines}
    _, snapshot = session.ask(survey.remembered)
    with output.step(f"{session.name}: putting back what was there") as progress:
        steps = _run(member, progress, tuning_stage.undo)
        progress(_count(steps))
    changed = [step.name for step in steps if step.changed]
    if not changed:
        output.say(f"{session.name} is not tuned: 0 changes")
    stays = session.ask(survey.stays, snapshot) if snapshot else []
    for line in stays:
        output.say(line, "yellow")
    return {"host": session.name, "changed": changed, "stays": stays}


def _run(member: Member, progress: Callable[[str], None], stage: Callable[[Member], None]) -> tuple[Step, ...]:
    try:
        return Session(member.machine, progress).run(stage, member)
    except KeyboardInterrupt:
        raise Interrupted(
            f"{member.machine.address}: stopped in the middle; the same again ends it, `make untune` gives back what was there"
        ) from None


def _told(seen: Survey, output: Output) -> list[dict[str, str | None]]:
    """How many values are set and kept; those that are not as wanted, each with its reason. Returns what is lowered now."""
    settings = list(since(seen.plan, seen.machine))
    counted = Counter(one.action for one in settings)
    todo = sum(1 for _ in changes.settings(seen.plan, seen.machine))
    output.say(
        f"{counted['set']} values are ours, {todo} of them to be set now; {counted['keep']} are kept, the kernel has as much; "
        f"{counted['refused_lower']} would lower the kernel's and are not set; {counted['unavailable']} are unavailable here"
    )
    for one in settings:
        if one.action in {"refused_lower", "unavailable"}:
            output.say(f"{one.setting.key}: {one.action.replace('_', ' ')}: {one.why}", "yellow")
    lowered: list[dict[str, str | None]] = []

    def lower(key: str, have: str | None, want: str, why: str) -> None:
        output.say(f"{key}: lowered from {have} to {want}: {why}", "yellow")
        lowered.append({"what": key, "from": have, "to": want, "why": why})

    for key, have, value in changes.values_back(seen.back, seen.machine):
        if lowers(value, have or ""):
            lower(
                key,
                have,
                value,
                "what this host is for now does not ask for more than there was before it was first tuned",
            )
    for one in changes.settings(seen.plan, seen.machine):
        if one.lowers:
            lower(one.setting.key, changes.value(seen.machine, one.setting), one.want, one.setting.reason)
    return lowered


def _packages(seen: Survey, needs: tuning_packages.Needed, output: Output) -> dict[str, Any]:
    """What apt would do, and why not; as plain data too."""
    apt, why = needs.apt, tuning_packages.refused(needs)
    if why:
        output.say(why, "yellow")
    elif needs.names:
        comes, goes = tuning_packages.said((*apt.install, *apt.upgrade)), tuning_packages.said(apt.remove)
        output.say(f"packages: to install {comes}; to remove {goes}")
    for name in needs.names:
        if name in seen.plan.packages:
            output.say(f"{name}: {seen.plan.packages[name]}")
    return {"install": list(apt.install), "upgrade": list(apt.upgrade), "remove": list(apt.remove), "refused": why}


def _count(steps: tuple[Step, ...]) -> str:
    changed = sum(step.changed for step in steps)
    return f"{changed} changes" if changed != 1 else "1 change"
