"""Want and have become a verdict. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hosts.facts.parse import chosen, one_spelling
from hosts.verification.boot import Given
from tuning import rules
from tuning.plan import Planned
from tuning.profile import Rule
from tuning.verdict import Row

_NOTHING: Final = "nothing"
_RULES: Final[Mapping[Rule, str]] = {
    "at_least": "at least {}",
    "at_most": "at most {}",
    "exactly": "{}",
    "as_wide": "as wide as {}",
    "includes": "{} among them",
}


def sysctl(planned: Planned, have: str | None, boot: Given | None) -> Row:
    """`boot`: who gives the key its value at the next boot."""
    row = value(planned, have)
    if row.verdict != "ok":
        return row
    if boot is None:
        if planned.action != "set":
            return row
        return _row(planned, have, "missing", "the kernel has it, but no file gives it at the next boot: make tune")
    given = boot.value or ""
    if (planned.action == "set" and given != planned.want) or not satisfied(planned, given):
        return _row(planned, have, "shadowed",
                    f"at the next boot {boot.file} gives {given}, after or instead of ours; remove it there")  # fmt: skip
    return row


def value(planned: Planned, have: str | None) -> Row:
    """As the kernel has it now."""
    if planned.action == "unavailable":
        return _row(planned, have, "unavailable", planned.why)
    if have is None:
        return _row(planned, None, "missing", "it cannot be read: the kernel has it no more, or may not be asked")
    now = chosen(one_spelling(have))
    if planned.action == "refused_lower" and now == planned.current:
        return _row(planned, have, "skipped", planned.why)
    if now == planned.want or (planned.action == "keep" and satisfied(planned, now)):
        return _row(planned, have, "ok", planned.why)
    return _row(planned, have, "differs", "somebody changed it since: make tune")


def module(planned: Planned, *, loaded: bool) -> Row:
    if planned.action == "unavailable":
        return _row(planned, None, "unavailable", planned.why)
    if loaded:
        return _row(planned, "loaded", "ok", planned.why)
    return _row(planned, None, "missing", f"it is not loaded: modprobe {planned.setting.key}, or make tune")


def file(path: str, want: str, have: str | None) -> Row:
    lines = f"{len(want.splitlines())} lines"
    if have is None:
        return Row(what=path, want=lines, have=_NOTHING, verdict="missing", why="there is no such file: make tune")
    if have == want:
        return Row(what=path, want=lines, have=lines, verdict="ok", why="")
    first = next((line for line in have.splitlines() if line not in want.splitlines()), "a line less")
    return Row(
        what=path, want=lines, have="something else", verdict="differs", why=f"{first.strip()!r} is not ours: make tune"
    )


def satisfied(planned: Planned, have: str) -> bool:
    """Of several numbers each by itself."""
    wants, haves = planned.want.split(), have.split()
    rule = planned.setting.rule
    if rule in ("as_wide", "includes"):
        return rules.satisfied(rule, planned.want, have)
    numbers = all(one.lstrip("-").isdigit() for one in (*wants, *haves))
    if rule == "exactly" or not numbers or len(wants) != len(haves):
        return wants == haves
    pairs = list(zip(map(int, wants), map(int, haves), strict=True))
    return all(b >= a if rule == "at_least" else b <= a for a, b in pairs)


def _row(planned: Planned, have: str | None, verdict: str, why: str) -> Row:
    want = planned.want if planned.action == "set" else _RULES[planned.setting.rule].format(planned.want)
    if planned.setting.kind == "module":
        want = "loaded"
    shown = _NOTHING if have is None else chosen(one_spelling(have))
    return Row(what=planned.setting.key, want=want, have=shown, verdict=verdict, why=why)  # type: ignore[arg-type]
