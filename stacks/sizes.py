"""What each component gets: CPU in millicores, memory and disk in MiB. The two profiles are the source document's tables."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

Component: TypeAlias = Literal["gateway", "engine", "redis", "postgres", "prometheus", "balancer", "grafana"]
Profile: TypeAlias = Literal["minimum", "recommended"]
Millicores = Annotated[int, Meta(ge=50, le=256_000, description="thousandths of a core")]
MiB = Annotated[int, Meta(ge=32, le=64 * 1024 * 1024)]


class Size(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a component is promised and held to."""

    cpu: Millicores
    memory: MiB
    disk: MiB

    def __add__(self, other: Size) -> Size:
        return Size(self.cpu + other.cpu, self.memory + other.memory, self.disk + other.disk)


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What differs from the profile."""

    cpu: Millicores | None = None
    memory: MiB | None = None
    disk: MiB | None = None

    def of(self, size: Size) -> Size:
        return Size(self.cpu or size.cpu, self.memory or size.memory, self.disk or size.disk)


_GIB: Final = 1024
PROFILES: Final[Mapping[Profile, Mapping[Component, Size]]] = MappingProxyType(
    {
        "minimum": MappingProxyType(
            {
                "gateway": Size(500, 512, 100),
                "engine": Size(1000, _GIB, 500),
                "redis": Size(500, 256, _GIB),
                "postgres": Size(1000, _GIB, 10 * _GIB),
                "prometheus": Size(500, 512, 10 * _GIB),
                # Not in the tables: they hold no state to speak of.
                "balancer": Size(500, 256, 100),
                "grafana": Size(250, 256, _GIB),
            }
        ),
        "recommended": MappingProxyType(
            {
                "gateway": Size(2000, 2 * _GIB, 500),
                "engine": Size(4000, 4 * _GIB, 2 * _GIB),
                "redis": Size(2000, 2 * _GIB, 10 * _GIB),
                "postgres": Size(4000, 8 * _GIB, 100 * _GIB),
                "prometheus": Size(2000, 4 * _GIB, 100 * _GIB),
                "balancer": Size(2000, 512, 100),
                "grafana": Size(500, 512, _GIB),
            }
        ),
    }
)
