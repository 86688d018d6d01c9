"""Profiles become one set of settings: what is inherited is replaced, what stands side by side is merged or refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from tuning.profile import Kind, Level, Profile, Role, Setting
from tuning.profiles import PROFILES
from tuning.profiles.one_host import ONE_HOST, WHOLE
from tuning.rules import satisfied, stricter

Key: TypeAlias = tuple[Kind, str]


class Conflict(NamedTuple):
    """Two settings of one key that no value satisfies."""

    one: Setting
    other: Setting

    def __str__(self) -> str:
        return (
            f"{self.one.key}: {self.one.value} is wanted ({self.one.reason} {self.one.source}) and {self.other.value} "
            f"({self.other.reason} {self.other.source}); put these roles on hosts of their own, or all of "
            f"{', '.join(WHOLE)} on this one, for which it is decided"
        )


class Composed(NamedTuple):
    """Settings by key, in the order in which they came, and what contradicts."""

    settings: dict[Key, Setting]
    conflicts: tuple[Conflict, ...]


def compose(level: Level, roles: Sequence[Role], profiles: Mapping[str, Profile] = PROFILES) -> Composed:
    """Of a host: its level and its roles side by side."""
    names: list[str] = [level, *roles]
    if set(WHOLE) <= set(roles):
        names = [level, ONE_HOST.name, *(role for role in roles if role not in WHOLE)]
    return beside(resolve(name, profiles) for name in names)


def resolve(name: str, profiles: Mapping[str, Profile] = PROFILES) -> Composed:
    """A profile with all that it includes. Its own settings replace those, and so settle what contradicts among them."""
    profile = profiles[name]
    under = beside(resolve(included, profiles) for included in profile.includes)
    own: dict[Key, Setting] = {(setting.kind, setting.key): setting for setting in profile.settings}
    left = tuple(one for one in under.conflicts if (one.one.kind, one.one.key) not in own)
    return Composed({**under.settings, **own}, left)


def beside(many: Iterable[Composed]) -> Composed:
    """Of a key that several have the stricter value."""
    settings: dict[Key, Setting] = {}
    conflicts: list[Conflict] = []
    for composed in many:
        conflicts.extend(composed.conflicts)
        for key, setting in composed.settings.items():
            there = settings.get(key)
            merged = setting if there is None else merge(there, setting)
            if isinstance(merged, Conflict):
                conflicts.append(merged)
            else:
                settings[key] = merged
    return Composed(settings, tuple(dict.fromkeys(conflicts)))


def merge(one: Setting, other: Setting) -> Setting | Conflict:
    """Of the same key. An exact value stands where it satisfies the other's rule."""
    if one.rule == other.rule:
        value = stricter(one.rule, one.value, other.value)
        if not satisfied(one.rule, other.value, value):
            return Conflict(one, other)
        if value == one.value:
            return one
        return other if value == other.value else msgspec.structs.replace(one, value=value)
    for exact, free in ((one, other), (other, one)):
        if exact.rule == "exactly" and satisfied(free.rule, free.value, exact.value):
            return exact
    return Conflict(one, other)
