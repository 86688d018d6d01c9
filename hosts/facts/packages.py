"""What packages a host has, and what apt would do: asked, not done."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec
from pyinfra.api import FactBase

from hosts.facts import sections
from hosts.places import RUN_DIR

# Held by apt itself while it works for us, also after our connection has ended.
APT_LOCK: Final = f"{RUN_DIR}/apt"
_APT: Final = "apt-get -y -q -s --no-install-recommends -o Debug::NoLocking=1"
_WAIT_SECONDS: Final = 600
_DONE: Final = re.compile(r"(?P<what>Inst|Remv|Purg) (?P<name>\S+)(?: \[(?P<old>[^\]]*)\])?")
_TO_GO: Final = ("deinstall", "purge")


class Installed(NamedTuple):
    """`versions` of those that are installed whole and to stay; `traces`: all that dpkg knows of, also by configuration alone.

    An apt that was ended may leave a package that is installed and marked to go.
    """

    versions: dict[str, str]
    traces: frozenset[str]
    automatic: frozenset[str]


class InstalledPackages(FactBase[Installed]):
    """`Installed`, once no apt of ours is at work."""

    def command(self) -> str:
        return sections.script(
            {
                "wait": f"[ ! -e {APT_LOCK} ] || flock -w {_WAIT_SECONDS} {APT_LOCK} true",
                "packages": r"dpkg-query -W -f '${db:Status-Want}\t${db:Status-Status}\t${Package}\t${Version}\n'",
                "automatic": "apt-mark showauto",
            }
        )

    def process(self, output: list[str]) -> Installed:
        said = sections.split(output)
        rows = [tuple(line.split("\t")) for line in said.get("packages", []) if line.count("\t") == 3]  # noqa: PLR2004 - as asked
        return Installed(
            versions={
                name: version for want, state, name, version in rows if state == "installed" and want not in _TO_GO
            },
            traces=frozenset(name for _, state, name, _ in rows if state != "not-installed"),
            automatic=frozenset(name.partition(":")[0] for name in said.get("automatic", [])),
        )


class Foreseen(msgspec.Struct, frozen=True):
    """What apt would do: new packages; versions of those that would go; those of which another version would come.

    `problem`: why it would do nothing, in its own words.
    """

    install: tuple[str, ...] = ()
    remove: dict[str, str] = {}
    upgrade: tuple[str, ...] = ()
    problem: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        """`Inst NAME` and `Remv NAME`, sorted."""
        comes, goes = (*self.install, *self.upgrade), self.remove
        return tuple(sorted((*(f"Inst {name}" for name in comes), *(f"Remv {name}" for name in goes))))


class AptWould(FactBase[Foreseen]):
    """Install `names`. Where apt knows none of them its lists are fetched to a folder of their own, and forgotten."""

    def command(self, names: Sequence[str]) -> str:
        asked = " ".join(map(shlex.quote, names))
        apart = '-o Dir::State::Lists="$lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache='
        return (
            f"export LC_ALL=C PATH=/usr/sbin:/sbin:/usr/bin:/bin; {_APT} install {asked} 2>&1 || {{ "
            'lists=$(mktemp -d) && trap \'rm -rf "$lists"\' EXIT && chmod 755 "$lists" && echo again '
            f"&& {{ apt-get -q {apart} update 2>&1; {_APT} {apart} install {asked} 2>&1; }}; true; }}"
        )

    def process(self, output: list[str]) -> Foreseen:
        return foreseen(output)


def foreseen(lines: Iterable[str]) -> Foreseen:
    """Of what `apt-get -s` prints; of several attempts the last."""
    tried = list(lines)
    tried = tried[len(tried) - tried[::-1].index("again") :] if "again" in tried else tried
    found = [match.groupdict() for line in tried if (match := _DONE.match(line))]
    problems = [line.removeprefix("E: ") for line in tried if line.startswith("E: ")]
    gone = {one["name"]: one["old"] or "" for one in found if one["what"] != "Inst"}
    return Foreseen(
        install=tuple(one["name"] for one in found if one["what"] == "Inst" and one["old"] is None),
        remove=gone,
        upgrade=tuple(one["name"] for one in found if one["what"] == "Inst" and one["old"] is not None),
        problem=" / ".join(problems) if problems and not found else "",
    )
