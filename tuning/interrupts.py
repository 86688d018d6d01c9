"""Which CPUs the network cards' interrupts and queues may use, at every boot.

A program of its own, uploaded as it is, for the host's python3 without anything besides: numbers of interrupts may change at a
boot, and queues are there later than systemd-tmpfiles, so cards are found by their names.

    interrupts.py set RECORD AWAY HERE CARD… [CARD/QUEUE=MASK…]      interrupts of the cards that may go to CPUs AWAY go to HERE
    interrupts.py back RECORD                                        as it was before
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def cpus(text: str) -> set[int]:
    """Of `0-2,5`."""
    found: set[int] = set()
    for part in text.strip().split(","):
        low, dash, high = part.partition("-")
        if low:
            found.update(range(int(low), int(high if dash else low) + 1))
    return found


def wanted(root: Path, away: str, here: str, what: list[str]) -> dict[str, str]:
    """Values by path, of those that are not so yet."""
    found = {}
    for one in what:
        name, _, mask = one.partition("=")
        card, _, queue = name.partition("/")
        device = root / "sys/class/net" / card
        if queue:
            found[f"/sys/class/net/{card}/queues/{queue}/rps_cpus"] = mask
            continue
        for folder in (device / "device/msi_irqs", device / "device/../msi_irqs"):
            for number in sorted(path.name for path in folder.glob("[0-9]*")):
                path = f"/proc/irq/{number}/smp_affinity_list"
                if (have := read(root, path)) is not None and cpus(have) & cpus(away):
                    found[path] = here
    return {path: value for path, value in found.items() if read(root, path) not in {None, value}}


def read(root: Path, path: str) -> str | None:
    try:
        return (root / path.lstrip("/")).read_text().strip()
    except OSError:
        return None


def write(root: Path, values: dict[str, str]) -> None:
    """Of an interrupt its driver may keep the CPUs to itself: that is no failure, and `make verify` tells it."""
    for path, value in values.items():
        try:
            (root / path.lstrip("/")).write_text(value)
        except OSError as error:
            sys.stderr.write(f"{path}: {error.strerror}\n")


def main(root: Path, arguments: list[str]) -> None:
    verb, record = arguments[0], Path(arguments[1])
    if verb == "back":
        if record.exists():
            write(root, json.loads(record.read_text()))
        return
    values = wanted(root, arguments[2], arguments[3], arguments[4:])
    record.write_text(json.dumps({path: read(root, path) for path in values}))
    write(root, values)


if __name__ == "__main__":
    main(Path("/"), sys.argv[1:])
