"""How two values of a key compare: the stricter of two, and whether one is as good as another. Pure text in, text out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tuning.profile import Rule

# A switch's words, from the least to the most: transparent_hugepage/enabled has three of them, defrag all.
_WORDS: Final = ("never", "madvise", "defer+madvise", "defer", "always")
_RANGE: Final = 2


def chosen(text: str) -> str:
    """Of a switch such as `always [madvise] never` the word that holds; any other text with single blanks."""
    inside = text.partition("[")[2].partition("]")
    return inside[0] if inside[1] else " ".join(text.split())


def stricter(rule: Rule, one: str, other: str) -> str:
    """What satisfies both. `exactly`, and values of different shapes: the first."""
    if rule == "includes":
        return port_list((*ports(one), *ports(other)))
    mine, theirs = _numbers(one), _numbers(other)
    if rule == "exactly" or not mine or len(mine) != len(theirs):
        return one
    if rule == "as_wide":
        if len(mine) != _RANGE:
            return one
        return _text((min(mine[0], theirs[0]), max(mine[1], theirs[1])), one, other)
    pick = max if rule == "at_least" else min
    return _text([pick(a, b) for a, b in zip(mine, theirs, strict=True)], one, other)


def satisfied(rule: Rule, want: str, have: str) -> bool:
    """Whether a kernel that has `have` has what `want` asks for."""
    have = chosen(have)
    if rule == "includes":
        return set(ports(want)) <= set(ports(have))
    if rule == "exactly" or len(_numbers(want)) != len(_numbers(have)) or not _numbers(want):
        return chosen(want) == have
    return stricter(rule, want, have) == have


def lowers(want: str, have: str) -> bool:
    """Whether writing `want` over `have` would make any of its numbers smaller."""
    pairs = zip(_numbers(want), _numbers(have), strict=False)
    return any(a < b for a, b in pairs)


def ports(text: str) -> tuple[int, ...]:
    """Of `8080-8081,9090`, ascending. Raises ValueError when it is no such list."""
    found: set[int] = set()
    for part in text.replace(",", " ").split():
        low, dash, high = part.partition("-")
        found.update(range(int(low), int(high if dash else low) + 1))
    return tuple(sorted(found))


def port_list(numbers: Iterable[int]) -> str:
    """`8080-8081,9090`, as the kernel spells a list of numbers of whatever order."""
    ends: list[list[int]] = []
    for number in sorted(set(numbers)):
        if ends and number == ends[-1][1] + 1:
            ends[-1][1] = number
        else:
            ends.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ends)


def _numbers(text: str) -> list[int]:
    """Empty when it is neither numbers nor a switch's word."""
    words = chosen(text).split()
    if len(words) == 1 and words[0] in _WORDS:
        return [_WORDS.index(words[0])]
    return [int(word) for word in words] if all(word.lstrip("-").isdigit() for word in words) else []


def _text(numbers: Iterable[int], *spelled: str) -> str:
    if any(chosen(text) in _WORDS for text in spelled):
        return " ".join(_WORDS[number] for number in numbers)
    return " ".join(map(str, numbers))
