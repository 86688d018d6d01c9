"""What the distribution has to give before a host is tuned, and the way back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host

from hosts.facts.packages import AptWould, Foreseen, Installed, InstalledPackages
from hosts.packages import TOOLS
from tuning.machine import Machine
from tuning.plan import Plan
from tuning.snapshot import Packages
from tuning.time_daemons import REPLACED


class Needed(NamedTuple):
    """`names`: asked for and not there; `apt`: what it would do for them; `there`: what is."""

    names: tuple[str, ...]
    apt: Foreseen
    there: Installed

    def memory(self, machine: Machine) -> Packages | None:
        """What is to be on the disk before apt runs."""
        if not self.names:
            return None
        return Packages(
            installed=self.apt.install,
            removed=self.apt.remove,
            automatic=tuple(sorted(self.there.automatic & self.apt.remove.keys())),
            clocks=tuple(sorted(machine.clocks)),
        )


class Back(NamedTuple):
    """What is to go with its configuration, and what is to come back: versions by name; `automatic`: marks of those."""

    purge: tuple[str, ...]
    restore: dict[str, str]
    automatic: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.purge or self.restore)


def needed(host: Host, plan: Plan) -> Needed:
    """Nothing is changed."""
    there: Installed = host.get_fact(InstalledPackages)
    names = tuple(name for name in (*TOOLS, *plan.packages) if name not in there.versions)
    return Needed(names, host.get_fact(AptWould, names=names) if names else Foreseen(), there)


def refused(wanted: Needed) -> str:
    """Why these packages cannot be had, with the remedy; empty when they can."""
    names = " ".join(wanted.names)
    if wanted.apt.problem:
        return (
            f"packages {names} cannot be had: {wanted.apt.problem}; look at the host's package sources (apt-get update), "
            f"or install them by hand"
        )
    if others := sorted(wanted.apt.remove.keys() - REPLACED):
        return f"installing {names} would remove {', '.join(others)}; if that is wanted: apt-get install {names}, then again"
    return ""


def checked(wanted: Needed) -> Needed:
    """Raises PyinfraError when apt would not do it, or would take away what nobody meant."""
    if why := refused(wanted):
        raise PyinfraError(why)
    return wanted


def back(host: Host, memory: Packages | None) -> Back:
    if memory is None:
        return Back((), {}, ())
    return way_back(memory, host.get_fact(InstalledPackages))


def way_back(memory: Packages, there: Installed) -> Back:
    """What differs from what is remembered; apt may have been ended anywhere."""
    restore = {name: version for name, version in memory.removed.items() if name not in there.versions}
    return Back(
        purge=tuple(name for name in memory.installed if name in there.traces),
        restore=restore,
        automatic=tuple(name for name in memory.automatic if name in restore),
    )


def lines(foreseen: Foreseen) -> Iterator[str]:
    """As a diff has them."""
    yield from (f"-package {name}" for name in foreseen.remove)
    yield from (f"+package {name}" for name in foreseen.install)
    yield from (f"+package {name}, another version" for name in foreseen.upgrade)


def lines_back(way: Back) -> Iterator[str]:
    yield from (f"-package {name}" for name in way.purge)
    yield from (f"+package {name}" for name in way.restore)


def said(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
