"""Who writes a file of /sys at the next boot: systemd-tmpfiles(8)'s order. Pure.

Seen with systemd 252: of lines with one path the first counts, in the order of files' names, and the others are ignored; patterns
are other paths, and what they write later stays. `F` and `f+` come before all patterns, among which `w` is.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from typing import Final

from tuning.given import Given, headed, matches

_WHOLE: Final = {"F", "f+"}
_PATTERNS: Final = {"w", "w+"}
# Patterns too: one of these before a `w` with the same path takes it away.
_INSTEAD: Final = {"x", "X", "r", "R", "e"}
_ARGUMENT: Final = 6  # the seventh field: after type, path, mode, user, group and age


def of_systemd(text: str) -> tuple[Given, ...]:
    """Of `systemd-analyze cat-config tmpfiles.d`: in the order in which they are written, one for each path."""
    lines = list(_lines(text))
    return (
        *_first(one for kind, one in lines if kind in _WHOLE),
        *_first(one for kind, one in lines if kind not in _WHOLE),
    )


def winner(path: str, given: Sequence[Given]) -> Given | None:
    """Whose value stays. One without a value: it is there in place of lines that would write."""
    found = None
    for one in given:
        if one.value is None:
            found = found or (one if one.key == path else None)
        elif one.key == path or matches(one.key, path, "/"):
            found = one
    return found


def _lines(text: str) -> Iterator[tuple[str, Given]]:
    """Kind, without modifiers that change nothing here, and what it gives."""
    for path, line in headed(text):
        fields = line.split(maxsplit=_ARGUMENT)
        if len(fields) < 2:  # noqa: PLR2004 - type and path
            continue
        kind, place = fields[0][0] + ("+" if "+" in fields[0] else ""), posixpath.normpath(fields[1].strip("\"'"))
        if kind in _WHOLE | _PATTERNS:
            yield kind, Given(place, fields[_ARGUMENT].strip() if len(fields) > _ARGUMENT else "", path)
        elif kind in _INSTEAD:
            yield kind, Given(place, None, path)


def _first(many: Iterator[Given]) -> tuple[Given, ...]:
    found: dict[str, Given] = {}
    for one in many:
        found.setdefault(one.key, one)
    return tuple(found.values())
