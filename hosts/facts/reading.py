"""What `tuning` wants to know about a host, in one round trip."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Final

from pyinfra.api import FactBase

from hosts.facts import sections
from tuning import time_daemons
from tuning.computed import MODULE

_CLOCKS: Final = " ".join(f"'{unit}.service'" for unit in time_daemons.UNITS)


def _active_or_enabled(units: str) -> str:
    return (
        f"{{ systemctl list-units --plain --no-legend --type=service --state=active {units}; "
        f"systemctl list-unit-files --no-legend --state=enabled {units}; }} | cut -d' ' -f1 | sort -u"
    )


_PARTS: Final[Mapping[str, str]] = {
    "kernel": "uname -r",
    "container": "systemd-detect-virt --container",
    "cpus": "lscpu --all --parse=CPU,CORE,SOCKET,NODE,ONLINE",
    "memory": "awk '/^MemTotal:/ {print $2}' /proc/meminfo",
    "sysctls": "sysctl -a",
    "modules": "cut -d' ' -f1 /proc/modules",
    "builtin": "ls /sys/module",
    "available": '[ -d "/lib/modules/$(uname -r)" ] && echo yes',
    "depends": f"modprobe --show-depends {MODULE}",
    "clocks": _active_or_enabled(_CLOCKS),
    "irqbalance": _active_or_enabled("irqbalance.service"),
    "huge": "ls /sys/kernel/mm/hugepages",
    "interrupts": "cat /proc/interrupts",
    "forbidden": "find /proc/sys/net /proc/sys/vm /proc/sys/kernel /proc/sys/fs -type f ! -perm /222",
    "mounts": "cut -d' ' -f2,4 /proc/mounts",
    "interfaces": (
        "for i in /sys/class/net/*; do printf '%s\\t%s\\t%s\\n' \"${i##*/}\" "
        '"$(ls $i/queues | tr "\\n" " ")" "$(ls $i/device/msi_irqs $i/device/../msi_irqs 2>/dev/null | tr "\\n" " ")"; done'
    ),
}


class Reading(FactBase[dict[str, list[str]]]):
    """Sections of lines. `patterns`: files below /sys, one value each; `files`: patterns of files, whole.

    `places`: paths of which it is asked whether they are there, and whether they are empty folders.
    """

    def command(self, patterns: Sequence[str], files: Sequence[str], places: Sequence[str] = ()) -> str:
        asked = " ".join(map(shlex.quote, places))
        return sections.script(
            {
                **_PARTS,
                "there": f'for p in {asked}; do {{ [ -e "$p" ] || [ -L "$p" ]; }} && echo "$p"; done',
                "empty": f"find {asked} -maxdepth 0 -type d -empty" if places else "",
                "sysfs": (
                    f'for f in {" ".join(patterns)}; do [ -f "$f" ] && '
                    'v=$(cat "$f") && printf "%s\\t%s\\n" "$f" "$(echo $v)"; done'
                ),
                # Names may have blanks; patterns have none. A link to /dev/null hides a file as an empty one does.
                "files": (
                    f'for f in {" ".join(map(_glob, files))}; do if [ -f "$f" ]; then '
                    'printf "%s\\t" "$f"; base64 -w0 "$f"; echo; '
                    'elif [ "$(readlink -f "$f")" = /dev/null ]; then printf "%s\\t\\n" "$f"; fi; done'
                ),
            }
        )

    def process(self, output: list[str]) -> dict[str, list[str]]:
        return sections.split(output)


class ModuleUsers(FactBase[dict[str, str]]):
    """Of loaded modules: which other modules use each; empty where the kernel counts uses without a name, or none."""

    def command(self) -> str:
        return "cat /proc/modules 2>/dev/null || true"

    def process(self, output: list[str]) -> dict[str, str]:
        rows = [line.split() for line in output]
        return {row[0]: ", ".join(filter(None, row[3].strip("-").split(","))) for row in rows if len(row) > 3}  # noqa: PLR2004


def _glob(pattern: str) -> str:
    """Quoted but for its asterisk."""
    return "*".join(shlex.quote(part) if part else "" for part in pattern.split("*"))


def mounted_read_only(mounts: Sequence[str], places: Sequence[str]) -> frozenset[str]:
    """Of lines `where options`: which of `places` are; the last mount of a place counts."""
    options = dict(line.partition(" ")[::2] for line in mounts)
    return frozenset(place for place in places if "ro" in options.get(place, "").split(","))
