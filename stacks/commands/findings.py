"""What a pre-flight check found: what is wanted, what is there, whether that will do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from stacks.commands.failures import Failure
from stacks.commands.output import Output

# note: it may do; refused: it will not.
Verdict: TypeAlias = Literal["ok", "note", "refused"]


class Finding(NamedTuple):
    what: str
    want: str
    have: str
    verdict: Verdict = "ok"
    remedy: str = ""

    def document(self) -> dict[str, Any]:
        return self._asdict()


def show(findings: Sequence[Finding], output: Output) -> None:
    """Raises Failure with the remedies when one is refused."""
    output.table(
        ("check", "want", "have", "verdict"), [(one.what, one.want, one.have, one.verdict) for one in findings]
    )
    for one in findings:
        if one.verdict == "note":
            output.say(f"note: {one.what}: {one.remedy}", "yellow")
    if refused := [one for one in findings if one.verdict == "refused"]:
        lines = "\n".join(f"  {one.what}: wanted {one.want}, have {one.have}. {one.remedy}" for one in refused)
        documents = [one.document() for one in findings]
        raise Failure(f"Not ready to deploy, and nothing was changed:\n{lines}", findings=documents)
