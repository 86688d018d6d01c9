"""The profiles, by name: three levels, a role each, and the whole system on one host."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tuning.profile import Profile
from tuning.profiles.base import BASE
from tuning.profiles.low_latency import LOW_LATENCY
from tuning.profiles.network import NETWORK
from tuning.profiles.one_host import ONE_HOST
from tuning.profiles.roles import BALANCER, ENGINE, GATEWAY, MONITORING, POSTGRES, REDIS

_ALL: Final = (BASE, NETWORK, LOW_LATENCY, BALANCER, GATEWAY, ENGINE, POSTGRES, REDIS, MONITORING, ONE_HOST)
PROFILES: Final[Mapping[str, Profile]] = MappingProxyType({profile.name: profile for profile in _ALL})
