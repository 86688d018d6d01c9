"""What listens on this machine, as its kernel says: proc_net_tcp(5). No other than Linux says it this way."""

from __future__ import annotations

import ipaddress
import sys
from pathlib import Path
from typing import Final

_FOLDER: Final = Path("/proc/net")
_LISTENS: Final = "0A"
_WORD: Final = 4


def addresses(port: int, family: str) -> frozenset[str]:
    """Those at which something listens on a port; none where the kernel does not say. `family`: tcp or tcp6."""
    try:
        lines = (_FOLDER / family).read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return frozenset()
    places = [(one[1].partition(":"), one[3]) for one in map(str.split, lines)]
    return frozenset(
        _address(where) for (where, _, number), state in places if state == _LISTENS and int(number, 16) == port
    )


def _address(written: str) -> str:
    """From the words of 32 bits that the kernel writes in the machine's own order."""
    raw = bytes.fromhex(written)
    words = [raw[start : start + _WORD] for start in range(0, len(raw), _WORD)]
    step = -1 if sys.byteorder == "little" else 1
    return str(ipaddress.ip_address(b"".join(word[::step] for word in words)))
