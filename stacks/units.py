"""Spellings of the model's neutral units: what each consumer calls half a core, 512 MiB or 90 seconds.

Each is the spelling that the consumer itself gives back, so that a second look finds no difference.
"""

from __future__ import annotations

from typing import Final

_MILLI: Final = 1000
_KIBI: Final = 1024
# Microseconds; the kernel's own.
DOCKER_CPU_PERIOD: Final = 100_000


def docker_cpu_quota(millicores: int) -> int:
    """Microseconds of each DOCKER_CPU_PERIOD.

    Not `cpus`: the daemon refuses more of those than the host has, and the provider gives some back as others than they
    were (0.05 as 0.1), so that another `up` would replace the container.
    """
    return millicores * DOCKER_CPU_PERIOD // _MILLI


def docker_memory(mib: int) -> int:
    """The provider's megabytes are MiB."""
    return mib


def docker_duration(seconds: float) -> str:
    """As Go writes a duration: 90 → "1m30s", 0.5 → "500ms"."""
    milliseconds = round(seconds * _MILLI)
    if milliseconds < _MILLI:
        return f"{milliseconds}ms" if milliseconds else "0s"
    minutes, rest = divmod(milliseconds, 60 * _MILLI)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h" if hours else ""
    text += f"{minutes}m" if hours or minutes else ""
    return f"{text}{_decimal(rest)}s"


def _decimal(thousandths: int) -> str:
    return f"{thousandths // _MILLI}.{thousandths % _MILLI:03}".rstrip("0").rstrip(".")


def kubernetes_cpu(millicores: int) -> str:
    """A canonical quantity: 500 → "500m", 2000 → "2"."""
    whole, thousandths = divmod(millicores, _MILLI)
    return f"{millicores}m" if thousandths else str(whole)


def kubernetes_memory(mib: int) -> str:
    """A canonical quantity, of memory or disk: 512 → "512Mi", 2048 → "2Gi"."""
    for unit in ("Mi", "Gi"):
        if mib % _KIBI:
            return f"{mib}{unit}"
        mib //= _KIBI
    return f"{mib}Ti"


def bytes_of(mib: int) -> int:
    return mib * _KIBI * _KIBI
