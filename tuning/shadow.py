"""Whose value a key has after the next boot: systemd-sysctl(8)'s order, and what ufw gives after it."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tuning.machine import SYSCTL_DIRS, UFW_DEFAULTS_FILE, UFW_FILE
from tuning.pairs import PARTNERS


class Given(NamedTuple):
    """A key, or a pattern of keys, that a file gives a value; None takes the key out of patterns."""

    key: str
    value: str | None
    path: str


def boot(files: Mapping[str, str | None]) -> tuple[Given, ...]:
    """What is written at boot, in its order; a later one stays. Patterns and what they leave out are still in it."""
    return (*_of_systemd(files), *_of_ufw(files))


def winner(key: str, given: Sequence[Given]) -> Given | None:
    """Whose value stays. One whose key is another's: writing that clears this one."""
    found = None
    explicit = {one.key for one in given}
    for one in given:
        if one.value is None:
            continue
        clears = one.key == PARTNERS.get(key) and one.value != "0"
        if clears or one.key == key or (key not in explicit and matches(one.key, key)):
            found = one
    return found


def assignments(path: str, text: str) -> Iterator[Given]:
    """Of a file in the form of sysctl.d(5)."""
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        name, equals, value = stripped.partition("=")
        name = name.strip()
        if equals:
            yield Given(dotted(name.removeprefix("-").strip()), " ".join(value.split()), path)
        elif name.startswith("-"):
            yield Given(dotted(name[1:].strip()), None, path)


def dotted(key: str) -> str:
    """As `sysctl` spells it: where the first separator is a slash, slashes and dots change places."""
    first = re.search(r"[./]", key)
    return key.translate(str.maketrans("./", "/.")) if first and first[0] == "/" else key


def matches(pattern: str, key: str) -> bool:
    """As glob(7) does: a `*` ends where a part of the key ends."""
    parts, names = pattern.split("."), key.split(".")
    wild = any(sign in pattern for sign in "*?[")
    return wild and len(parts) == len(names) and all(map(fnmatch.fnmatchcase, names, parts))


def _of_systemd(files: Mapping[str, str | None]) -> Iterator[Given]:
    """Of files with one name that of the first folder; all by name. A key given again goes to the end, unless it is the same."""
    by_name: dict[str, str] = {}
    for folder in SYSCTL_DIRS:
        for path, text in files.items():
            if text is not None and path.rpartition("/")[0] == folder and path.endswith(".conf"):
                by_name.setdefault(path.rpartition("/")[2], path)
    kept: dict[str, Given] = {}
    for name in sorted(by_name):
        for one in assignments(by_name[name], files[by_name[name]] or ""):
            before = kept.get(one.key)
            if before is None or before.value != one.value:
                kept.pop(one.key, None)
                kept[one.key] = one
    yield from kept.values()


def _of_ufw(files: Mapping[str, str | None]) -> Iterator[Given]:
    """While ufw is enabled, of the file that IPT_SYSCTL names."""
    if not re.search(r"(?mi)^\s*ENABLED\s*=\s*[\"']?yes", files.get(UFW_FILE) or ""):
        return
    named = re.findall(r"(?m)^\s*IPT_SYSCTL\s*=\s*[\"']?([^\"'\s#]+)", files.get(UFW_DEFAULTS_FILE) or "")
    if named:
        yield from assignments(named[-1], files.get(named[-1]) or "")
