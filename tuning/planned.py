"""What is to become of one setting, and of a host."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from tuning.profile import Setting

# `set`: to `want`. `keep`: it is so already. `refused_lower`: the kernel has more, and keeps it. `unavailable`: not here.
Action: TypeAlias = Literal["set", "keep", "refused_lower", "unavailable"]


class Planned(msgspec.Struct, frozen=True):
    """`want`: the whole value that the kernel is to have; `current`: what it had before it was first tuned, None: no such key."""

    setting: Setting
    want: str
    current: str | None
    action: Action
    why: str


class Plan(msgspec.Struct, frozen=True):
    """`settings` in the order in which they are written, modules first; `files`: texts by path."""

    settings: tuple[Planned, ...]
    files: dict[str, str]
