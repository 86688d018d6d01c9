"""One subject's buckets with a clock of the test's own."""

from __future__ import annotations

from random import Random

import pytest

from app.rate_window import Window

WIDTH = 1.0  # a window of 60 s


def test_the_bucket_that_the_window_begins_in_counts_whole() -> None:
    window = Window()
    window.used(0, 1)  # at 0.95, say
    row = window.alone(60.5, WIDTH, 1, 1)
    assert row.used == 1
    assert row.wait == pytest.approx(0.5)
    assert window.alone(61.0, WIDTH, 1, 1).used == 0


def test_what_waits_is_used_until_it_is_decided() -> None:
    window = Window()
    window.waiting = 3
    assert window.alone(0.5, WIDTH, 1, 3).used == 3
    assert window.shared(0.5, WIDTH, 1, 9, 3, under_way=window.waiting).used == 3


@pytest.mark.parametrize(("limit", "live", "share"), [(90, 3, 30), (100, 3, 33), (90, 1, 90), (2, 3, 1), (1, 3, 1)])
def test_a_fresh_gateway_has_its_share_and_at_least_one(limit: int, live: int, share: int) -> None:
    window, passed = Window(), 0
    while (row := window.shared(0.5, WIDTH, 1, limit, live, under_way=0)).used < row.limit:
        assert row.limit == share
        window.used(0, 1)
        passed += 1
    assert passed == share


def test_a_share_is_of_what_was_left_and_grows_as_it_is_given_back() -> None:
    window = Window()
    window.used(0, 20)
    window.told(10, 60)  # 40 are others'; of 90 then 30 are left, 10 for each of three
    assert window.shared(11, WIDTH, 10, 90, 3, under_way=0).used == 20
    assert window.shared(11, WIDTH, 11, 90, 3, under_way=0).wait == 50.0, "own use of second 0 leaves at 61"
    window.used(11, 10)
    assert window.shared(60.9, WIDTH, 1, 90, 3, under_way=0).used == 30
    after = window.shared(61.5, WIDTH, 1, 90, 3, under_way=0)  # 20 are back, 50 left, 16 for each
    assert (after.limit, after.used) == (30, 24)
    assert window.shared(71.5, WIDTH, 1, 90, 3, under_way=0).used == 10  # the others' 40 are back too
    assert window.shared(72.5, WIDTH, 1, 90, 3, under_way=0).used == 0


def test_who_used_more_than_its_share_waits_until_it_leaves_the_window() -> None:
    window = Window()
    window.used(5, 90)
    window.told(5, 90)
    row = window.shared(6, WIDTH, 1, 90, 3, under_way=0)
    assert (row.limit, row.used, row.wait) == (30, 30, 60.0)


def test_what_others_gave_back_is_forgotten_oldest_first() -> None:
    window = Window()
    window.told(1, 10)
    window.told(2, 15)
    window.told(3, 8)
    assert window.others.weights == {1: 3, 2: 5}
    window.told(3, 0)
    assert (window.others.weights, window.others.total) == ({}, 0)


@pytest.mark.parametrize("seed", range(20))
def test_gateways_that_lose_redis_stay_within_the_limit_together(seed: int) -> None:
    """Skewed use of three gateways, all of it told; then each presses alone for two windows, at times of its own."""
    rng, limit = Random(seed), 100
    windows = [Window() for _ in range(3)]
    passed: list[tuple[float, int]] = []
    for step in range(rng.randrange(20, 600)):
        now, total = step / 10, sum(weight for at, weight in passed if at > step / 10 - 61)
        window, weight = rng.choices(windows, [8, 2, 1])[0], rng.choice([1, 1, 5])
        for one in windows:
            one.expire(int(now))
            one.told(int(now), total)
        if total + weight <= limit:
            window.used(int(now), weight)
            passed.append((now, weight))
            for one in windows:
                one.told(int(now), total + weight)
    lost = now
    for step in range(1300):
        now, window, weight = lost + step / 10, rng.choice(windows), rng.choice([1, 1, 5])
        row = window.shared(now, WIDTH, weight, limit, 3, under_way=0)
        if row.used + weight <= row.limit:
            window.used(int(now), weight)
            passed.append((now, weight))
    for begin, _ in passed:
        assert sum(weight for at, weight in passed if begin <= at <= begin + 60) <= limit
    assert sum(weight for at, weight in passed if at > lost) > limit, "what is given back is used"
