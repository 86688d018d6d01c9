from itertools import permutations, product

import pytest

from tuning.compose import Conflict, beside, compose, merge, resolve
from tuning.profile import LEVELS, ROLES, Level, Profile, Role, Rule, Setting
from tuning.profiles import PROFILES
from tuning.profiles.one_host import WHOLE


def _setting(value: str, rule: Rule = "at_least", key: str = "vm.x") -> Setting:
    return Setting(key=key, value=value, rule=rule, reason="for the sake of a test", source="a test")


def _profile(name: str, *settings: Setting, includes: tuple[str, ...] = ()) -> Profile:
    return Profile(name=name, includes=includes, settings=settings)


def test_a_profiles_own_value_replaces_what_it_includes() -> None:
    profiles = {"a": _profile("a", _setting("9")), "b": _profile("b", _setting("5"), includes=("a",))}
    assert resolve("b", profiles).settings["sysctl", "vm.x"].value == "5"


def test_side_by_side_the_stricter_value_stands() -> None:
    profiles = {"base": _profile("base", _setting("5")), "redis": _profile("redis", _setting("9"))}
    assert compose("base", ("redis",), profiles).settings["sysctl", "vm.x"].value == "9"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_setting("1", "exactly"), _setting("2", "exactly")),
        (_setting("1", "exactly"), _setting("2", "at_least")),
        (_setting("3", "exactly"), _setting("2", "at_most")),
        (_setting("3", "at_least"), _setting("5", "at_most")),
    ],
)
def test_values_that_exclude_each_other_conflict(one: Setting, other: Setting) -> None:
    assert isinstance(merge(one, other), Conflict)
    assert isinstance(merge(other, one), Conflict)


def test_an_exact_value_stands_where_it_satisfies_the_other() -> None:
    exact, least = _setting("3", "exactly"), _setting("2", "at_least")
    assert merge(exact, least) == merge(least, exact) == exact


def test_of_a_triple_each_number_is_merged_by_itself() -> None:
    merged = merge(_setting("1 9 3"), _setting("2 5 4"))
    assert isinstance(merged, Setting)
    assert merged.value == "2 9 4"


def test_the_order_of_profiles_does_not_matter() -> None:
    names = ("network", "balancer", "gateway", "engine", "monitoring")
    found = [
        {key: (one.value, one.rule) for key, one in beside(map(resolve, order)).settings.items()}
        for order in permutations(names)
    ]
    assert all(one == found[0] for one in found)


def test_redis_and_postgresql_alone_on_one_host_are_refused_with_both_reasons() -> None:
    (conflict,) = compose("base", ("postgres", "redis")).conflicts
    said = str(conflict)
    assert said.startswith("vm.overcommit_memory: 2 is wanted")
    assert "OOM killer" in said
    assert "background save" in said
    assert "hosts of their own" in said


@pytest.mark.parametrize("roles", [WHOLE, ROLES])
@pytest.mark.parametrize("level", LEVELS)
def test_the_whole_system_on_one_host_is_decided(level: Level, roles: tuple[Role, ...]) -> None:
    composed = compose(level, roles)
    assert composed.conflicts == ()
    assert composed.settings["sysctl", "vm.overcommit_memory"].value == "1"


def test_every_role_goes_with_every_level() -> None:
    for level, role in product(LEVELS, ROLES):
        assert compose(level, (role,)).conflicts == ()


def test_every_level_includes_the_one_before_it() -> None:
    for before, after in product(LEVELS, LEVELS):
        if LEVELS.index(before) < LEVELS.index(after):
            assert resolve(before).settings.keys() <= resolve(after).settings.keys()


def test_no_profile_touches_what_interfaces_inherit_or_what_containers_need() -> None:
    keys = [setting.key for profile in PROFILES.values() for setting in profile.settings]
    assert keys
    assert not [key for key in keys if ".conf." in key or "forward" in key or "neigh" in key]
