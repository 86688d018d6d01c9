"""`verify`: every value of a host, read by other tools than set it; want, have, verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import msgspec

from hosts import firewall_rows, suite, survey, told, unit_rows
from hosts.inventory import Member
from hosts.session import Session
from hosts.verification.subject import GOOD
from stacks.commands.failures import Failure
from stacks.commands.output import Output
from tuning.verdict import Row

PARTS: Final[dict[str, Callable[[Member, Session], tuple[Row, ...]]]] = {
    "firewall": firewall_rows.rows,
    "units": unit_rows.rows,
}
TUNING: Final = "tuning"


def verify(
    members: tuple[Member, ...], output: Output, only: str = "", *, roles: bool = True, stack: bool = True
) -> dict[str, Any]:
    """`only`: one part, tuning, firewall or units; else all. Raises Failure when a host cannot be asked.

    `roles`, `stack`: whether the members have them from who asks; else what `tune` was told counts, which the host remembers.
    """
    if only and only not in {TUNING, *PARTS}:
        raise Failure(f"--only = {only!r}: there is no such part; choose from {', '.join((TUNING, *PARTS))}")
    found = []
    for member in members:
        session = Session(member.machine)
        found.append(_host(told.ask(member, session, output, roles=roles, stack=stack), session, output, only))
    return {"ok": all(one["ok"] for one in found), "hosts": found}


def _host(member: Member, session: Session, output: Output, only: str) -> dict[str, Any]:
    with output.step(f"{session.name}: reading every value back") as progress:
        rows: list[Row] = []
        if only in {"", TUNING}:
            rows += suite.rows(member.machine, session.ask(survey.survey, member).plan)
        for part, of_part in PARTS.items():
            if only in {"", part}:
                rows += of_part(member, session)
        progress(f"{len(rows)} values")
    show(rows, output)
    bad = [row for row in rows if row.verdict not in GOOD]
    roles = list(member.machine.roles)
    return {"host": session.name, "roles": roles, "ok": not bad, "rows": [msgspec.to_builtins(row) for row in rows]}


def show(rows: list[Row], output: Output) -> None:
    """A table, then a sentence for each row that is not good, then how many there are of each verdict."""
    output.table(
        ("value", "want", "have", "verdict"),
        [(row.what, _short(row.want), _short(row.have), row.verdict) for row in rows],
    )
    for row in rows:
        if row.verdict not in GOOD:
            output.say(f"{row.what}: {row.verdict}: {row.why}", "red")
    counted = Counter(row.verdict for row in rows)
    output.say(", ".join(f"{count} {verdict}" for verdict, count in sorted(counted.items())))


def _short(text: str) -> str:
    """Of a file's text or the like: as much as a table bears."""
    one = " ".join(text.split())
    return one if len(one) <= 40 else f"{one[:37]}…"  # noqa: PLR2004 - a column
