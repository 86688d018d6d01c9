"""Whether what a native install runs on is new enough: as the host has it, or would get it from its package source.

Asked before anything is changed. `offered` and `findings` are pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from pyinfra.api import FactBase

from hosts.facts import sections
from stacks.balancer import Kind
from stacks.commands.findings import Finding, Verdict

Version: TypeAlias = tuple[int, ...]
POLICY: Final = "policy"
PYTHONS: Final = "pythons"
# What the installer of a release takes besides python3: hosts/on_host/install_release.sh.
_PYTHONS: Final = ("python3.14", "python3.13", "python3.12", "python3.11")
_PACKAGES: Final = ("python3", "python3-venv", "nginx", "haproxy", "postgresql")


class Need(NamedTuple):
    least: Version
    why: str


_NEEDS: Final[Mapping[str, Need]] = {
    "python3": Need((3, 11), "the gateway needs {}"),
    # https://nginx.org/en/docs/switches.html
    "nginx": Need((1, 19, 5), "its unit needs {} (-e)"),
    # https://docs.haproxy.org/2.4/configuration.html: http-request wait-for-body, set-timeout
    "haproxy": Need((2, 4), "its configuration needs {}"),
    # https://www.postgresql.org/docs/12/app-pgchecksums.html
    "postgresql": Need((12,), "checksums of its pages need {}"),
}
# A fresh host has no lists of packages: what its release came with.
_RELEASES: Final[Mapping[tuple[str, str], Mapping[str, str]]] = {
    ("debian", "12"): {"python3": "3.11.2", "nginx": "1.22.1", "haproxy": "2.6.12", "postgresql": "15"},
    ("debian", "13"): {"python3": "3.13.5", "nginx": "1.26.3", "haproxy": "3.0.11", "postgresql": "17"},
    ("ubuntu", "22.04"): {"python3": "3.10.6", "nginx": "1.18.0", "haproxy": "2.4.22", "postgresql": "14"},
    ("ubuntu", "24.04"): {"python3": "3.12.3", "nginx": "1.24.0", "haproxy": "2.8.5", "postgresql": "16"},
}


class Offered(NamedTuple):
    """Versions as they are written, upstream's part. `pythons`: of python3, and of others that can make an environment."""

    installed: dict[str, str] = {}  # noqa: RUF012 - never changed
    candidates: dict[str, str] = {}  # noqa: RUF012
    pythons: tuple[str, ...] = ()


class OfferedFact(FactBase[Offered]):
    def command(self) -> str:
        ask = 'print("%d.%d.%d" % sys.version_info[:3])'
        others = f"for p in {' '.join(_PYTHONS)}; do $p -c 'import sys, venv, ensurepip; {ask}'; done"
        return sections.script(
            {
                PYTHONS: f"python3 -c 'import sys; {ask}'; {others}",
                POLICY: f"apt-cache policy {' '.join(_PACKAGES)}",
            }
        )

    def process(self, output: list[str]) -> Offered:
        return offered(output)


def offered(lines: Iterable[str]) -> Offered:
    """Of the fact's output."""
    said = sections.split(lines)
    found: dict[str, dict[str, str]] = {"Installed": {}, "Candidate": {}}
    package = ""
    for line in said.get(POLICY, []):
        name, _, value = line.strip().partition(":")
        if not line.startswith(" "):
            package = name
        elif name in found and value.strip() != "(none)":
            found[name][package] = upstream(value.strip())
    return Offered(found["Installed"], found["Candidate"], tuple(said.get(PYTHONS, ())))


def upstream(version: str) -> str:
    """`5:7.0.15-1ubuntu0.24.04.1` → `7.0.15`."""
    found = re.match(r"(?:\d+:)?(\d+(?:\.\d+)*)", version)
    return found[1] if found else ""


def findings(has: Offered, system: tuple[str, str], kind: Kind) -> Iterator[Finding]:
    """`system`: its ID and VERSION_ID; `kind`: of the balancer."""
    release = _RELEASES.get(system, {})
    for what in ("python3", kind, "postgresql"):
        need = _NEEDS[what]
        have, where = _python(has, release) if what == "python3" else _package(has, release, what)
        least = ".".join(map(str, need.least))
        rule = need.why.format(f"{least} or newer")
        yield Finding(
            f"{what} to install", f"{least} or newer", f"{have} {where}" if have else "unknown", _verdict(have, need.least),
            f"{rule}: use Ubuntu 24.04 or Debian 12, or set hosts.install: docker."
            if have else "It shows when the packages are there.",
        )  # fmt: skip


def _verdict(have: str, least: Version) -> Verdict:
    if not have:
        return "note"
    return "ok" if _number(have) >= least else "refused"


def _package(has: Offered, release: Mapping[str, str], what: str) -> tuple[str, str]:
    """One that is there is not upgraded."""
    if there := has.installed.get(what):
        return there, "on the host"
    if candidate := has.candidates.get(what):
        return candidate, "in its package source"
    return (release[what], "in its release") if what in release else ("", "")


def _python(has: Offered, release: Mapping[str, str]) -> tuple[str, str]:
    """The newest there is, or what comes with python3-venv where that is another."""
    newest = max((*has.pythons, has.installed.get("python3", "")), key=_number)
    coming = has.candidates.get("python3-venv") or has.candidates.get("python3") or release.get("python3", "")
    if _number(coming)[:2] > _number(newest)[:2]:
        return coming, "in its package source" if has.candidates else "in its release"
    return newest, "on the host" if newest else ""


def _number(version: str) -> Version:
    return tuple(map(int, re.findall(r"\d+", version)))
