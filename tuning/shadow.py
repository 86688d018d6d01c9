"""Whose value a sysctl has after the next boot: systemd-sysctl(8)'s order, and what ufw gives after it. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tuning.given import Given, headed, matches
from tuning.pairs import clears


def of_systemd(text: str) -> tuple[Given, ...]:
    """Of `systemd-analyze cat-config sysctl.d`. A key given again goes to the end, unless it is given the same."""
    kept: dict[str, Given] = {}
    for path, line in headed(text):
        one = _assignment(path, line)
        if one and (one.key not in kept or kept[one.key].value != one.value):
            kept.pop(one.key, None)
            kept[one.key] = one
    return tuple(kept.values())


def of_ufw(path: str, text: str) -> tuple[Given, ...]:
    """Of the file that `ufw_file` names."""
    return tuple(one for _, line in headed(text) if (one := _assignment(path, line)))


def ufw_file(enabled: str, defaults: str) -> str:
    """The file whose values ufw gives after systemd has given its own; empty when it gives none.

    `enabled`: /etc/ufw/ufw.conf, `defaults`: /etc/default/ufw.
    """
    if not re.search(r"(?mi)^\s*ENABLED\s*=\s*[\"']?yes", enabled):
        return ""
    found = re.findall(r"(?m)^\s*IPT_SYSCTL\s*=\s*[\"']?([^\"'\s#]*)", defaults)
    return found[-1] if found else ""


def winner(key: str, given: Sequence[Given]) -> Given | None:
    """Whose value stays, of all in their order. One whose key is another's: writing that clears this one."""
    found = None
    explicit = {one.key for one in given}
    for one in given:
        if one.value is None:
            continue
        named = one.key == key or (key not in explicit and matches(one.key, key, "."))
        if named or clears(one.key, one.value, key):
            found = one
    return found


def dotted(key: str) -> str:
    """As `sysctl` spells it: where the first separator is a slash, slashes and dots change places, as sysctl.d(5) says."""
    first = re.search(r"[./]", key)
    return key.translate(str.maketrans("./", "/.")) if first and first[0] == "/" else key


def _assignment(path: str, line: str) -> Given | None:
    """`net/ipv4/x=1`, `-net.ipv4.x = 1`, `-net.ipv4.conf.*.x`."""
    name, equals, value = line.partition("=")
    if not equals and not name.startswith("-"):
        return None
    key = dotted(name.strip().removeprefix("-").strip())
    return Given(key, " ".join(value.split()) if equals else None, path)
