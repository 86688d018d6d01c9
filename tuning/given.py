"""What files give at the next boot, one key after another. Pure."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from typing import NamedTuple

_HEADING = re.compile(r"# (/\S+)")


class Given(NamedTuple):
    """A key, or a pattern of keys, that a file gives a value; None: it takes the key away from others and gives nothing."""

    key: str
    value: str | None
    path: str


def headed(text: str) -> Iterator[tuple[str, str]]:
    """Path and line of several files in their order, each under `# /its/path`, as `systemd-analyze cat-config` prints them.

    Without comments and empty lines.
    """
    path = ""
    for line in map(str.strip, text.splitlines()):
        if heading := _HEADING.fullmatch(line):
            path = heading[1]
        elif line and line[0] not in "#;":
            yield path, line


def matches(pattern: str, key: str, separator: str) -> bool:
    """As glob(7) does: a `*` ends where a part of the key ends. What is no pattern matches nothing."""
    parts, names = pattern.split(separator), key.split(separator)
    wild = any(sign in pattern for sign in "*?[")
    return wild and len(parts) == len(names) and all(map(fnmatch.fnmatchcase, names, parts))
