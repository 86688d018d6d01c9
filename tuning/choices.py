"""What a person decides about tuning."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from tuning.profile import Level


class Choices(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`huge_pages`: of 2 MiB; None: as many as something asks for. `may_lower`: keys that may be set below the kernel's."""

    level: Level = "low_latency"
    huge_pages: Annotated[int, Meta(ge=0)] | None = None
    fast_open: bool = False
    may_lower: tuple[str, ...] = ()
