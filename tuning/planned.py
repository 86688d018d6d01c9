"""What is to become of one setting, and of a host."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from tuning.profile import Setting
from tuning.rules import lowers, stricter

# `set`: to `want`. `keep`: it is so already. `refused_lower`: the kernel has more, and keeps it. `unavailable`: not here.
Action: TypeAlias = Literal["set", "keep", "refused_lower", "unavailable"]

# Of these an amount in bytes is 0 where a share of memory counts instead: more than any amount of ours.
BYTES_RATIO: Final = {
    "vm.dirty_bytes": "vm.dirty_ratio",
    "vm.dirty_background_bytes": "vm.dirty_background_ratio",
}


class Planned(msgspec.Struct, frozen=True):
    """`want`: the whole value that the kernel is to have; `current`: what it had before it was first tuned, None: no such key.

    `may_lower`: a person said that it may be set below the kernel's.
    """

    setting: Setting
    want: str
    current: str | None
    action: Action
    why: str
    may_lower: bool = False

    def over(self, have: str) -> str:
        """What is to be in place of `have`: the same where that is as good, and of several numbers what is better of both."""
        if self.may_lower or (self.setting.key in BYTES_RATIO and have == "0"):
            return self.want
        return stricter(self.setting.rule, self.want, have)

    @property
    def lowers(self) -> bool:
        """Whether less is set than there was. A range that widens and a list that grows lower nothing."""
        if self.action != "set" or self.current is None or self.setting.rule in {"as_wide", "includes"}:
            return False
        return lowers(self.want, self.current) or (self.setting.key in BYTES_RATIO and self.current == "0")


class Plan(msgspec.Struct, frozen=True):
    """`settings` in the order in which they are written, modules first; `files`: texts by path; `packages`: names, and why."""

    settings: tuple[Planned, ...]
    files: dict[str, str]
    packages: dict[str, str] = {}
