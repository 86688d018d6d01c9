import asyncio

from hypothesis import given
from hypothesis import strategies as st

from app.ring import PAGE, PAGE_BYTES, RING_BYTES, Ring, Signal, StreamItem, page


def item(size: int = 10) -> StreamItem:
    return StreamItem(None, "market", b"x" * size)


def test_what_follows_a_position_comes_page_by_page() -> None:
    ring = Ring(100)
    for _ in range(PAGE + 3):
        ring.add(item())
    assert ring.head == 100 + PAGE + 3
    assert len(ring.after(100) or []) == PAGE
    assert len(ring.after(100 + PAGE) or []) == 3
    assert ring.after(ring.head) == []


def test_a_ring_says_when_it_does_not_reach_back() -> None:
    assert Ring(5).after(4) is None
    assert Ring(5).after(5) == []


def test_a_ring_holds_a_mebibyte_at_most() -> None:
    ring = Ring()
    for _ in range(30):
        ring.add(item(100_000))
    assert ring.head - ring.first + 1 == RING_BYTES // 100_000
    assert ring.after(ring.first - 1)
    assert ring.after(ring.first - 2) is None


def test_an_item_that_was_here_is_skipped() -> None:
    ring = Ring(5)
    for number in (6, 7, 6, 5, 7):
        ring.add(StreamItem(str(number), "x", b""), number)
    assert ids(ring, 5) == [6, 7]


def test_after_a_gap_only_what_follows_it_is_held() -> None:
    ring = Ring()
    for number in (1, 2, 5, 6):
        ring.add(StreamItem(str(number), "x", b"x"), number)
    assert (ring.first, ring.head) == (5, 6)
    assert ids(ring, 4) == [5, 6]
    assert ring.after(2) is None


def test_the_head_is_moved_and_never_back() -> None:
    ring = Ring(3)
    ring.add(item())
    assert not ring.reach(2)
    assert not ring.reach(4)
    assert len(ring.after(3) or []) == 1
    assert ring.reach(9)
    assert (ring.first, ring.head, ring.after(4)) == (10, 9, None)
    ring.add(item(RING_BYTES))  # what was dropped is not counted any more
    assert ring.first == 10


@given(st.lists(st.tuples(st.sampled_from(["add", "reach"]), st.integers(1, 30)), max_size=60))
def test_whatever_hands_items_in_what_is_held_is_contiguous(steps: list[tuple[str, int]]) -> None:
    ring, greatest = Ring(), 0
    for step, number in steps:
        greatest = max(greatest, number)
        if step == "add":
            ring.add(StreamItem(str(number), "x", b"x"), number)
        else:
            ring.reach(number)
        assert ring.head == greatest
        assert ids(ring, ring.first - 1) == list(range(ring.first, greatest + 1))


def ids(ring: Ring, position: int) -> list[int]:
    return [int(one.id or 0) for one in ring.after(position) or []]


def test_a_page_is_bounded_by_bytes_and_holds_one_at_least() -> None:
    assert [len(one.payload) for one in page([item(PAGE_BYTES * 2), item()])] == [PAGE_BYTES * 2]
    assert len(page([item(PAGE_BYTES // 4)] * 9)) == 4
    assert page([]) == []
    ring = Ring()
    for _ in range(9):
        ring.add(item(PAGE_BYTES // 4))
    assert len(ring.after(0) or []) == 4
    assert len(ring.after(8) or []) == 1


async def test_a_signal_wakes_those_who_wait_and_a_time_out_ends_the_wait() -> None:
    one, other = Signal(), Signal()
    waiting = asyncio.create_task(Signal.wait_any((one, other), 60))
    await asyncio.sleep(0)
    other.wake()
    await asyncio.wait_for(waiting, 1)
    await Signal.wait_any((one, other), 0.001)
