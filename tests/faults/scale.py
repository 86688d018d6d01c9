"""How much a fault test does: little in every test run, the promises' figures with VELOZ_FAULT_FULL=1."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

FULL = bool(os.environ.get("VELOZ_FAULT_FULL"))

Figure: TypeAlias = Callable[[str, object], None]
T = TypeVar("T")


def scaled(short: T, full: T) -> T:
    return full if FULL else short


def spread(seconds: Sequence[float]) -> str:
    """Median and longest, in words."""
    return f"{statistics.median(seconds):.2f} median, {max(seconds):.2f} longest of {len(seconds)}"
