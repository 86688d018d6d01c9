"""The words of tuning: what a setting is and what a profile is. Plain data; imports nothing of ours."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, get_args

import msgspec
from msgspec import Meta

# What a host is for. A host may be for several things.
Role: TypeAlias = Literal["balancer", "gateway", "engine", "postgres", "redis", "monitoring"]
ROLES: tuple[Role, ...] = get_args(Role)
# How far a host is tuned; each includes the one before it.
Level: TypeAlias = Literal["base", "network", "low_latency"]
LEVELS: tuple[Level, ...] = get_args(Level)

# `sysctl`: key as `sysctl` spells it. `sysfs`: a path below /sys or /proc/irq. `module`: loaded at boot, its value is "".
Kind: TypeAlias = Literal["sysctl", "sysfs", "module"]
# How a value is to be compared with the kernel's: raised, lowered, or set as it is. Of several numbers each by itself; a
# switch's words have an order too. `as_wide`: a range of two numbers. `includes`: a list of ports and ranges of ports.
Rule: TypeAlias = Literal["at_least", "at_most", "exactly", "as_wide", "includes"]


class Setting(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One value of the kernel's, why it is wanted, and who says so."""

    kind: Kind = "sysctl"
    key: str
    value: str
    rule: Rule = "at_least"
    reason: Annotated[str, Meta(min_length=10)]
    source: Annotated[str, Meta(min_length=5, description="a manual page, the kernel's documentation, a measurement")]
    container: Annotated[bool, Meta(description="a namespace of its own has it: also for containers and pods")] = False


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings under a name. `includes` names the profiles it builds upon; its own values replace theirs."""

    name: str
    includes: tuple[str, ...] = ()
    settings: tuple[Setting, ...] = ()
