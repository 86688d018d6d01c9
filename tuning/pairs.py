"""Keys that the kernel changes along with others, and keys that a module brings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# Of each pair one holds, and the other is 0: writing one clears the other (kernel, mm/page-writeback.c and mm/util.c).
# The bytes cannot be written 0 themselves: the other one is written instead.
_PAIRS: Final = (
    ("vm.dirty_bytes", "vm.dirty_ratio"),
    ("vm.dirty_background_bytes", "vm.dirty_background_ratio"),
    ("vm.overcommit_kbytes", "vm.overcommit_ratio"),
)
PARTNERS: Final[Mapping[str, str]] = {a: b for one, other in _PAIRS for a, b in ((one, other), (other, one))}
# A 0 clears the other one of these too; of the others it changes nothing where the value is 0 already.
_CLEARED_BY_ZERO: Final = frozenset({"vm.overcommit_kbytes", "vm.overcommit_ratio"})

# What appears and goes with a module.
_BROUGHT: Final[Mapping[str, tuple[str, ...]]] = {
    "nf_conntrack": ("net.netfilter.nf_conntrack_", "net.nf_conntrack_max"),
}


def brought_by(key: str) -> str:
    """The module whose key it is; empty when it is the kernel's own."""
    return next((module for module, prefixes in _BROUGHT.items() if key.startswith(prefixes)), "")


def clears(written: str, value: str, key: str) -> bool:
    """Whether writing `value` to `written` makes `key`, the other one of its pair, 0."""
    return PARTNERS.get(written) == key and (value != "0" or written in _CLEARED_BY_ZERO)


def partner_holds(key: str, sysctls: Mapping[str, str]) -> bool:
    """Whether the other one of its pair is in use."""
    partner = PARTNERS.get(key)
    return partner is not None and sysctls.get(key) == "0" and sysctls.get(partner, "0") != "0"
