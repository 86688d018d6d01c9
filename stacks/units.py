"""Spellings of the model's neutral units: what each consumer calls half a core, 512 MiB or 90 seconds.

Each is the spelling that the consumer itself gives back, so that a second look finds no difference.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Final

_MILLI: Final = 1000
_KIBI: Final = 1024
_NANO_DIGITS: Final = 9


def docker_cpus(millicores: int) -> str:
    """Cores as the provider gives them back: 500 → "0.5", 1000 → "1.0", 10000 → "10.".

    Some it gives back rounded, 50 as "0.1"; another `up` would replace the container. Of those, the next more that it does not.
    """
    while Decimal(text := _as_read(millicores)) * _MILLI != millicores:
        millicores += 1
    return text


def _as_read(millicores: int) -> str:
    """nanoInt64ToDecimalString in terraform-provider-docker 4.5.0, internal/provider/helpers.go."""
    text = f"{Decimal(millicores) / _MILLI:.9f}"
    if text.count("0") == _NANO_DIGITS:
        return str(Decimal(text).quantize(Decimal("0.1"), ROUND_HALF_UP))
    return text.rstrip("0")


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
