"""What was deployed, when, and whether it served: one line of JSON a release, beside the stack file. No secret is in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from stacks.commands import atomic
from stacks.commands.failures import Failure

# begun: it changed something and did not come to its end.
Outcome: TypeAlias = Literal["begun", "good", "failed", "destroyed"]


class Release(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`deployment` is what the stack file said; `schema` how many migrations its image knows; `of` the release it returns to."""

    id: int
    time: str
    outcome: Outcome
    deployment: dict[str, Any]
    image: str = ""
    schema: int = 0
    commit: str = ""
    of: int = 0
    fixed: dict[str, str] = {}  # digests, see fixed_secrets.py
    target: dict[str, str] = {}  # by what it is known, see targets.py

    @property
    def content(self) -> tuple[object, str]:
        """What makes two releases the same."""
        return self.deployment, self.image

    @property
    def origin(self) -> int:
        """The release whose content this is."""
        return self.of or self.id

    def ended(self, outcome: Outcome) -> Release:
        return msgspec.structs.replace(self, outcome=outcome, time=now())


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def read(path: Path) -> list[Release]:
    """In the order they began. Raises Failure for a line that is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{path} cannot be read: {error}.") from error
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(msgspec.json.decode(line, type=Release))
        except msgspec.DecodeError as error:
            raise Failure(
                f"{path}, line {number} is no release: {error}. Restore the line, or take it away."
            ) from error
    return found


def begin(
    known: Sequence[Release],
    deployment: dict[str, Any],
    *,
    schema: int,
    commit: str,
    image: str = "",
    of: int = 0,
    fixed: dict[str, str] | None = None,
) -> Release:
    return Release(
        id=max((one.id for one in known), default=0) + 1,
        time=now(),
        outcome="begun",
        deployment=deployment,
        image=image,
        schema=schema,
        commit=commit,
        of=of,
        fixed=fixed or {},
    )


def write(path: Path, releases: Sequence[Release]) -> None:
    """All of them, or what was there stays."""
    atomic.write(path, "".join(msgspec.json.encode(one).decode() + "\n" for one in releases))


def put(path: Path, release: Release) -> None:
    """A release as it is now, in the place of what it was."""
    others = [one for one in read(path) if one.id != release.id]
    write(path, [*others, release])


def target(known: Sequence[Release]) -> Release:
    """The last good release before the current one that is something else. Raises Failure when rolling back is refused."""
    if not known:
        raise Failure(
            "Nothing was released from here yet, so there is nothing to return to. Deploy first: make up STACK=…"
        )
    current = known[-1]
    if current.outcome == "destroyed":
        raise Failure(
            "The deployment was destroyed with its data, so there is nothing to return to. Deploy: make up STACK=…"
        )
    since = [one for one in known if one.id > max((x.id for x in known if x.outcome == "destroyed"), default=0)]
    earlier = [
        one
        for one in since
        if one.id < current.origin and one.outcome == "good" and not one.of and one.content != current.content
    ]
    if not earlier:
        raise Failure(
            f"Before release {current.id} there is no good one that is any different. Repair forward: make up STACK=…"
        )
    chosen = earlier[-1]
    newest = max(one.schema for one in since)
    if chosen.schema < newest:
        raise Failure(
            f"Release {chosen.id} knows the schema up to migration {chosen.schema}, and the database has {newest}: its "
            "gateways would refuse to start. A release must know every migration that was applied: repair forward "
            "with make up, or restore a backup from before it."
        )
    return chosen
