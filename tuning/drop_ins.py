"""Whether what a file of ours says holds among all that its reader reads. Pure.

Each of `ini`, `directives` and `limits` understands one kind of file, ours alone or all of them in the order in which they are
read: of one key the last counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from tuning.given import Given, headed
from tuning.machine import CHRONY_FILE, JOURNAL_FILE, LIMITS_FILE

Reader: TypeAlias = Callable[[str], Iterator[Given]]


def ini(text: str) -> Iterator[Given]:
    """Of systemd's: keys are `Section.Name`."""
    section = ""
    for path, line in headed(text):
        name, equals, value = line.partition("=")
        if line.startswith("["):
            section = line.strip("[]")
        elif equals:
            yield Given(f"{section}.{name.strip()}", value.strip(), path)


def directives(text: str) -> Iterator[Given]:
    """Of chrony's; those that may stand there several times are none of ours."""
    for path, line in headed(text):
        name, _, value = line.partition(" ")
        yield Given(name.lower(), value.strip(), path)


def limits(text: str) -> Iterator[Given]:
    """Of limits.conf(5): keys are `user kind item`; `-` stands for both kinds."""
    for path, line in headed(text):
        fields = line.split()
        if len(fields) == 4:  # noqa: PLR2004 - user, kind, item, value
            for kind in ("soft", "hard") if fields[1] == "-" else (fields[1],):
                yield Given(f"{fields[0]} {kind} {fields[2]}", fields[3], path)


READERS: Final[dict[str, Reader]] = {JOURNAL_FILE: ini, CHRONY_FILE: directives, LIMITS_FILE: limits}


def overruled(path: str, ours: str, everything: str) -> str:
    """Who says otherwise than `ours`, the text of our file `path`, or that nobody reads it; empty when it holds.

    `everything`: what its reader reads, as `READERS` understand it; of other files nothing is known.
    """
    read = READERS.get(path)
    if read is None:
        return ""
    last = {one.key: one for one in read(everything)}
    for one in read(ours):
        there = last.get(one.key)
        if there is None:
            return f"{one.key} is in none of the files that are read"
        if there.value != one.value:
            return f"{there.path or 'a file that is read later'} gives {one.key} = {there.value or 'its default'}"
    return ""
