"""What a plan would change on a host, as a person reads it: a diff. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from tuning.plan import Plan


def lines(plan: Plan, files: Mapping[str, str | None]) -> Iterator[str]:
    """`files`: those of the host by path, as they are."""
    for one in plan.settings:
        if one.action != "set" or one.current == one.want:
            continue
        if one.current is not None:
            yield f"-{one.setting.key} = {one.current}"
        yield f"+{one.setting.key} = {one.want}"
    for path, text in plan.files.items():
        yield from of_file(path, files.get(path), text)


def of_file(path: str, have: str | None, want: str | None) -> Iterator[str]:
    """A unified diff; None: there is none."""
    if have == want:
        return
    yield from (
        line.rstrip("\n")
        for line in difflib.unified_diff(
            (have or "").splitlines(),
            (want or "").splitlines(),
            "/dev/null" if have is None else path,
            "/dev/null" if want is None else path,
            lineterm="",
        )
    )
