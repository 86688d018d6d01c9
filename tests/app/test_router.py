"""Which gateways a command is sent to, and how often."""

import time
from collections.abc import Sequence
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from app.directory import Directory
from app.errors import ExecutionUnavailable, Unknown
from app.metrics_core import CoreMetrics
from app.peers import NotTaken, Peers
from app.placement import Peer
from app.requests import ReadDigest, Request
from app.ring import Signal
from app.router import Router
from app.tenure import NotHere


class Owners:
    """Shows one owner after the other, the last for ever: a new one after each question."""

    def __init__(self, owners: Sequence[tuple[str, int]]) -> None:
        self.signal = Signal()
        self._owners = list(owners)

    def owner(self, _: str) -> tuple[Peer, int]:
        name, epoch = self._owners[0]
        return Peer(name, f"http://{name}"), epoch

    def look_again(self) -> None:
        if len(self._owners) > 1:
            self._owners.pop(0)


class Answers:
    """What the peers say, in order."""

    def __init__(self, answers: Sequence[object]) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)

    async def ask(self, peer: Peer, _request: Request, _deadline: float) -> object:
        self.asked.append(peer.owner)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def route(owners: Owners, answers: Answers, seconds: float = 2.0) -> Any:  # noqa: ANN401 - as Router.run
    async def here(_request: Request, _deadline: float) -> None:
        raise NotHere

    metrics = CoreMetrics(CollectorRegistry())
    router = Router("me", cast("Directory", owners), cast("Peers", answers), metrics, here, Signal())
    return await router.run(ReadDigest("main"), time.monotonic() + seconds)


async def test_an_owner_that_has_the_account_again_is_asked_again() -> None:
    answers = Answers([NotTaken("gateway-2 does not own the account now"), "done"])
    assert await route(Owners([("gateway-2", 7)]), answers) == "done"
    assert answers.asked == ["gateway-2", "gateway-2"]


async def test_the_same_owner_is_not_asked_without_a_pause() -> None:
    answers = Answers([NotTaken("not now")] * 9)
    with pytest.raises(ExecutionUnavailable, match="not now"):
        await route(Owners([("gateway-2", 7)]), answers, 1.0)
    assert 2 <= len(answers.asked) <= 4


async def test_an_owner_that_changed_is_followed_once() -> None:
    answers = Answers([NotTaken("moved"), NotTaken("moved on"), "never asked"])
    with pytest.raises(ExecutionUnavailable, match="moved on"):
        await route(Owners([("gateway-2", 7), ("gateway-3", 8), ("gateway-2", 9)]), answers)
    assert answers.asked == ["gateway-2", "gateway-3"]


async def test_what_may_have_been_done_is_not_asked_again() -> None:
    answers = Answers([Unknown("no answer"), "never asked"])
    with pytest.raises(Unknown):
        await route(Owners([("gateway-2", 7)]), answers)
    assert answers.asked == ["gateway-2"]
