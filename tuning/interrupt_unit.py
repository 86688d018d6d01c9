"""The unit that gives interrupts and receive queues their CPUs at every boot, for `tuning.interrupts` on the host."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tuning.machine import INTERRUPTS_RUN, INTERRUPTS_SCRIPT, INTERRUPTS_UNIT, Machine
from tuning.planned import Planned
from tuning.topology import Cores, cpu_list

_QUEUE: Final = re.compile(r"/sys/class/net/(?P<card>[^/]+)/queues/(?P<queue>[^/]+)/rps_cpus")
_NUMBERED: Final = re.compile(r"/proc/irq/\d+/.*")
_RECORD: Final = f"{INTERRUPTS_RUN}/before"
# Queues ask for CAP_NET_ADMIN (kernel, net/core/net-sysfs.c); interrupts for root, who owns their files.
_UNIT: Final = """[Unit]
Description=CPUs of network cards' interrupts and queues (VeloZ)
Documentation={source}
After=network.target network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/python3 -I {script} set {record} {arguments}
ExecStop=/usr/bin/python3 -I {script} back {record}
RuntimeDirectory={run}
RuntimeDirectoryMode=0700
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_NET_ADMIN
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictAddressFamilies=none
IPAddressDeny=any
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources

[Install]
WantedBy=multi-user.target
"""


def numbered(path: str) -> bool:
    """Whether it is an interrupt's, whose number may be another's after a boot."""
    return bool(_NUMBERED.fullmatch(path))


def bound_to_boot(path: str) -> bool:
    """Whether systemd-tmpfiles may meet another there, or nothing yet."""
    return numbered(path) or bool(_QUEUE.fullmatch(path))


def files(settings: Sequence[Planned], machine: Machine, cores: Cores, source: str) -> dict[str, str]:
    """By path. All cards, also those whose interrupts are right now: after a boot of ours they are.

    What irqbalance places is its own; queues are not.
    """
    if machine.container or not cores.engine or cores.shared:
        return {}
    cards = [] if machine.irqbalance else [card.name for card in machine.interfaces if card.irqs]
    what = [*cards, *_queues(settings)]
    if not what:
        return {}
    here = cpu_list({*cores.housekeeping, *cores.gateway})
    arguments = " ".join((cpu_list(cores.engine), here, *what)).replace("%", "%%")
    unit = _UNIT.format(
        source=source,
        script=INTERRUPTS_SCRIPT,
        record=_RECORD,
        arguments=arguments,
        run=INTERRUPTS_RUN.removeprefix("/run/"),
    )
    script = Path(__file__).with_name("interrupts.py").read_text(encoding="utf-8")
    return {INTERRUPTS_SCRIPT: script, INTERRUPTS_UNIT: unit}


def _queues(settings: Sequence[Planned]) -> Iterator[str]:
    for one in settings:
        if one.action in {"set", "keep"} and (found := _QUEUE.fullmatch(one.setting.key)):
            yield f"{found['card']}/{found['queue']}={one.want}"
