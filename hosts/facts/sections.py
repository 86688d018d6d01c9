"""Several commands in one round trip: each writes a section under a heading of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

_HEADING: Final = "==veloz=="


def script(parts: Mapping[str, str]) -> str:
    """A shell script; what a command cannot do leaves its section empty and ends nothing."""
    said = "\n".join(f"echo '{_HEADING} {name}'\n{command}" for name, command in parts.items())
    return f"export LC_ALL=C PATH=/usr/sbin:/sbin:$PATH\nexec 2>/dev/null\n{said}\ntrue"


def split(lines: Iterable[str]) -> dict[str, list[str]]:
    """The lines of each section, by its name."""
    found: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith(f"{_HEADING} "):
            section = found.setdefault(line.removeprefix(f"{_HEADING} ").strip(), [])
        elif found:
            section.append(line)
    return found
