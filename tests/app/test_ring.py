import asyncio

from app.ring import PAGE, RING_BYTES, Ring, Signal, StreamItem


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
    held = ring.after(ring.first - 1) or []
    assert len(held) == RING_BYTES // 100_000
    assert ring.after(ring.first - 2) is None


async def test_a_signal_wakes_those_who_wait_and_a_time_out_ends_the_wait() -> None:
    one, other = Signal(), Signal()
    waiting = asyncio.create_task(Signal.wait_any((one, other), 60))
    await asyncio.sleep(0)
    other.wake()
    await asyncio.wait_for(waiting, 1)
    await Signal.wait_any((one, other), 0.001)
