"""What will be at the next boot: the values that files give, in the order in which they are given. Pure."""

from __future__ import annotations

import fnmatch
import re
from typing import NamedTuple

_HEADING = re.compile(r"# (/\S+)")


class Given(NamedTuple):
    """A key, or a pattern of keys, that a file gives a value; `value` None takes the key out of later patterns."""

    file: str
    key: str
    value: str | None


def of_systemd(text: str) -> list[Given]:
    """Of `systemd-analyze cat-config sysctl.d`: every file under a heading with its path, in systemd-sysctl(8)'s order."""
    given, file = [], ""
    for line in text.splitlines():
        if heading := _HEADING.fullmatch(line.strip()):
            file = heading[1]
        elif one := assignment(file, line):
            given.append(one)
    return given


def assignment(file: str, line: str) -> Given | None:
    """`net/ipv4/x=1`, `-net.ipv4.x = 1`, `-net.ipv4.conf.*.x`; None of a comment or an empty line."""
    text = line.strip()
    if not text or text[0] in "#;":
        return None
    name, equals, value = text.partition("=")
    if not equals and not name.startswith("-"):
        return None
    return Given(file, dotted(name.strip().removeprefix("-").strip()), " ".join(value.split()) if equals else None)


def dotted(key: str) -> str:
    """Where the first separator is a slash, slashes and dots change places, as sysctl.d(5) says."""
    first = re.search(r"[./]", key)
    return key.translate(str.maketrans("./", "/.")) if first and first[0] == "/" else key


def winner(key: str, given: list[Given]) -> Given | None:
    """Whose value stays: the last that names the key; else the last pattern that matches it and leaves it in."""
    if exact := [one for one in given if one.key == key]:
        return exact[-1] if exact[-1].value is not None else None
    matching = [one for one in given if "*" in one.key and one.value is not None and fnmatch.fnmatchcase(key, one.key)]
    return matching[-1] if matching else None


def ufw_file(enabled: str, defaults: str) -> str:
    """The file whose values ufw gives after systemd has given its own; empty when it gives none.

    `enabled`: /etc/ufw/ufw.conf, `defaults`: /etc/default/ufw.
    """
    if not re.search(r"(?mi)^\s*ENABLED\s*=\s*[\"']?yes", enabled):
        return ""
    found = re.findall(r"(?m)^\s*IPT_SYSCTL\s*=\s*[\"']?([^\"'\s#]*)", defaults)
    return found[-1] if found else ""
