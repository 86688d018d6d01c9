from hypothesis import given
from hypothesis import strategies as st

from app.fencing import SHARDS
from app.placement import HANDOVER, Holding, Peer, Picture, plan, target, targets

NAMES = st.sets(st.from_regex(r"gateway-[0-9]{1,3}", fullmatch=True), min_size=1, max_size=6)


def picture(live: set[str], owners: dict[int, str | None], draining: frozenset[str] = frozenset()) -> Picture:
    peers = {name: Peer(name, draining=name in draining) for name in live}
    return Picture(peers, {shard: Holding(owners.get(shard), 1) for shard in range(SHARDS)})


def settled(live: set[str]) -> dict[int, str | None]:
    return {shard: target(shard, live) for shard in range(SHARDS)}


@given(NAMES)
def test_every_shard_is_one_gateways_and_none_has_far_too_many(names: set[str]) -> None:
    goal = targets(names)
    assert set(goal.values()) <= names
    for name in names:
        share = sum(owner == name for owner in goal.values())
        assert share < 2.5 * SHARDS / len(names) + 8


@given(NAMES, st.just("the-new-one"))
def test_who_joins_takes_only_its_share_and_who_leaves_gives_only_its_own(names: set[str], new: str) -> None:
    before, after = targets(names), targets(names | {new})
    assert {after[shard] for shard in after if after[shard] != before[shard]} <= {new}
    assert targets((names | {new}) - {new}) == before


@given(NAMES)
def test_a_settled_cluster_has_nothing_to_do(names: set[str]) -> None:
    owners = settled(names)
    for name in names:
        held = frozenset(shard for shard, owner in owners.items() if owner == name)
        todo = plan(picture(names, owners), name, held)
        assert not todo.claim
        assert not todo.release


@given(NAMES)
def test_a_dead_gateways_shards_are_claimed_each_by_one_and_nothing_else_moves(names: set[str]) -> None:
    owners = settled(names | {"the-dead-one"})
    orphans = {shard for shard, owner in owners.items() if owner == "the-dead-one"}
    claimed: list[int] = []
    for name in names:
        held = frozenset(shard for shard, owner in owners.items() if owner == name)
        todo = plan(picture(names, owners), name, held)
        assert not todo.release
        claimed += todo.claim
    assert sorted(claimed) == sorted(orphans)


@given(NAMES)
def test_one_that_leaves_gives_everything_to_those_that_stay_some_at_a_time(names: set[str]) -> None:
    live = names | {"the-leaving-one"}
    owners = settled(live)
    mine = frozenset(shard for shard, owner in owners.items() if owner == "the-leaving-one")
    todo = plan(picture(live, owners, frozenset({"the-leaving-one"})), "the-leaving-one", mine)
    assert todo.release <= mine
    assert len(todo.release) == min(HANDOVER, len(mine))


def test_when_all_leave_everything_stays_where_it_is() -> None:
    owners = settled({"a", "b"})
    mine = frozenset(shard for shard, owner in owners.items() if owner == "a")
    todo = plan(picture({"a", "b"}, owners, frozenset({"a", "b"})), "a", mine)
    assert not todo.release
    assert not todo.claim


def test_what_was_ours_before_a_restart_is_claimed_anew() -> None:
    owners = settled({"a", "b"})
    mine = {shard for shard, owner in owners.items() if owner == "a"}
    assert plan(picture({"a", "b"}, owners), "a", frozenset()).claim == mine
