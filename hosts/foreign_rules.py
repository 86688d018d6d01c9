"""Rules that others have in the kernel's tables, as `iptables-save` prints them: what they need, and what they let pass. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

# What iptables loads at any time, also before anything else runs.
_TARGETS: Final = frozenset({"ACCEPT", "DROP", "RETURN", "LOG", "NFLOG", "MARK", "CONNMARK"})
_MATCHES: Final = frozenset({
    "addrtype", "comment", "connmark", "conntrack", "icmp", "icmp6", "iprange", "length", "limit", "mac", "mark", "multiport",
    "pkttype", "state", "tcp", "udp",
})  # fmt: skip
_GOTO: Final = "-g"
# A verdict that lets a packet go on past all rules behind; RETURN does in a built-in chain.
_PASSING: Final = frozenset({"ACCEPT", "QUEUE", "NFQUEUE"})


def needs(rule: str) -> str:
    """What has to be there before it can be loaded, as a chain, a set or a module; empty when iptables is enough."""
    words = _words(rule)
    target = _target(words)
    if target and (_GOTO in words or target not in _TARGETS):
        return target
    matches = (after for word, after in pairwise(words) if word == "-m")
    return next((f"-m {match}" for match in matches if match not in _MATCHES), "")


def accepts(rule: str) -> bool:
    """Without asking another chain."""
    return _target(_words(rule)) in _PASSING


def passes(rule: str, table: Sequence[str]) -> bool:
    """Whether this rule of a built-in chain may keep a packet from the rules behind it and let it go on.

    `table` has the chains that it may call.
    """
    words = _words(rule)
    return _GOTO in words or _target(words) == "RETURN" or _passes(words, table, frozenset())


def _passes(words: Sequence[str], table: Sequence[str], seen: frozenset[str]) -> bool:
    target = _target(words)
    if target in _PASSING:
        return True
    called = () if target in seen else tuple(rule for rule in table if rule.startswith(f"-A {target} "))
    return any(_passes(_words(rule), table, seen | {target}) for rule in called)


def _target(words: Sequence[str]) -> str:
    """Empty for a rule that only counts."""
    return next((after for word, after in pairwise(words) if word in {"-j", _GOTO}), "")


def _words(rule: str) -> list[str]:
    try:
        return shlex.split(rule)
    except ValueError:  # quoted in a way that no shell knows
        return rule.split()
