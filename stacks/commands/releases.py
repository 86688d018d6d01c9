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
# Who says how many migrations an image knows; nobody: an earlier program wrote down those of its own tree for any image.
Witness: TypeAlias = Literal["", "tree", "image", "gateways", "person"]


class Release(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`deployment` is what the stack file said; `of` the release it returns to.

    `schema` is how many migrations its image knows as `witness` says, `database` how many the database had when it served;
    None, and 0 in old records: nobody knows.
    """

    id: int
    time: str
    outcome: Outcome
    deployment: dict[str, Any]
    image: str = ""
    schema: int | None = None
    witness: Witness = ""
    database: int | None = None
    commit: str = ""
    of: int = 0
    fixed: dict[str, str] = {}  # digests, see fixed_secrets.py
    target: dict[str, str] = {}  # by what it is known, see targets.py
    stores: dict[str, str] | None = None  # their images, see store_images.py; None in old records

    @property
    def content(self) -> tuple[object, str]:
        """What makes two releases the same."""
        return self.deployment, self.image

    @property
    def origin(self) -> int:
        """The release whose content this is."""
        return self.of or self.id

    @property
    def knows(self) -> int | None:
        """How many migrations its image knows; None: nobody knows."""
        named = (self.deployment.get("images") or {}).get("veloz")
        return None if named and not self.witness else self.schema or None

    @property
    def applied(self) -> int | None:
        """How many migrations it may have left in the database; None: nobody knows."""
        return None if self.knows is None else max(self.knows, self.database or 0)

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
    schema: int | None,
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


class SchemaUnknown(Failure):
    """Nobody knows whether an older release can work with the database as it is."""


def target(known: Sequence[Release], database: int | None = None) -> Release:
    """The release to return to. Raises Failure when that is refused, SchemaUnknown when nobody knows whether it is to be.

    `database`: how many migrations the database has, if somebody knows; else as many as any release since may have left.
    """
    chosen = earlier(known)
    if chosen.knows is None:
        raise SchemaUnknown(f"Nobody knows how many migrations release {chosen.id} ({chosen.image}) knows")
    # What came before it is no matter: it served on that.
    left = {one.id: one.applied for one in _since(known) if one.id >= chosen.id}
    if database is None and (unknown := [str(number) for number, one in left.items() if one is None]):
        raise SchemaUnknown(
            f"Nobody knows how many migrations came into the database with release {', '.join(unknown)}"
        )
    newest = max((one or 0 for one in left.values()), default=0) if database is None else database
    if chosen.knows < newest:
        raise Failure(
            f"Release {chosen.id} knows the schema up to migration {chosen.knows}, and the database has {newest}: its "
            "gateways would refuse to start. A release must know every migration that was applied: repair forward "
            "with make up, or restore a backup from before it."
        )
    return chosen


def _since(known: Sequence[Release]) -> list[Release]:
    """Those of the database that there is now."""
    return [one for one in known if one.id > max((x.id for x in known if x.outcome == "destroyed"), default=0)]


def earlier(known: Sequence[Release]) -> Release:
    """Where an unfinished return was going, else the last good release before the current one that is something else.

    Raises Failure: there is none.
    """
    if not known:
        raise Failure(
            "Nothing was released from here yet, so there is nothing to return to. Deploy first: make up STACK=…"
        )
    current = known[-1]
    if current.outcome == "destroyed":
        raise Failure(
            "The deployment was destroyed with its data, so there is nothing to return to. Deploy: make up STACK=…"
        )
    since = {one.id: one for one in _since(known)}
    if current.outcome != "good" and current.of in since:
        return since[current.of]
    before = [
        one
        for one in since.values()
        if one.id < current.origin and one.outcome == "good" and one.content != current.content
    ]
    if not before:
        raise Failure(
            f"Before release {current.id} there is no good one that is any different. Repair forward: make up STACK=…"
        )
    return since.get(before[-1].origin, before[-1])
