"""How parts stand: what is not as it should be, and whether an update would leave nobody who serves."""

import pytest

from stacks.commands.standing import STEADY_SECONDS, Part, State, Watch, outage
from stacks.watched import Said

OURS, OTHER = "a" * 64, "b" * 64


def gateway(number: int, state: State = "well") -> Part:
    return Part(f"x-gateway-{number}", "gateway", state, "" if state == "well" else "why it is so")


def names(*numbers: int) -> set[str]:
    return {f"x-gateway-{number}" for number in numbers}


@pytest.mark.parametrize(
    ("states", "changing", "last"),
    [
        (["well", "well", "well"], {1, 2, 3}, ""),
        (["unwell", "well", "well"], {1, 2, 3}, ""),
        (["well", "unwell", "unwell"], {2, 3}, ""),
        (["well", "unwell", "down"], {1, 2, 3}, "x-gateway-1"),
        (["well", "starting"], {1, 2}, "x-gateway-1"),
        (["unwell", "well"], {1, 2}, ""),  # the first serves before the second goes
        (["unwell", "well"], {2}, "x-gateway-2"),
        (["unwell", "unwell"], {1, 2}, ""),
        (["well"], {1}, ""),
        ([], {1, 2}, ""),
    ],
)
def test_the_last_gateway_that_serves_is_not_replaced_first(states: list[State], changing: set[int], last: str) -> None:
    chain = [gateway(number, state) for number, state in enumerate(states, 1)]
    assert outage(chain, names(*changing)) == last


def test_all_that_is_wanted_is_there_and_well() -> None:
    watch = Watch(["x-gateway-1", "x-gateway-2"])
    assert watch.wrong([gateway(1), gateway(2)], 0.0) == []
    assert watch.wrong([gateway(1), gateway(2, "unwell")], 0.0) == ["x-gateway-2 fails its health check (why it is so)"]
    assert watch.wrong([gateway(2)], 0.0) == ["x-gateway-1 is not there"]


def test_one_that_restarts_is_believed_when_it_has_been_up_for_a_while() -> None:
    watch = Watch([])
    again = gateway(1)._replace(restarts=3, age=2.0)
    said = "x-gateway-1 has restarted (3 so far), the last time 2 s ago"
    assert watch.wrong([again], 0.0) == [said]
    assert watch.wrong([again], STEADY_SECONDS - 1) == [said]
    assert watch.wrong([again], STEADY_SECONDS) == []  # whatever its target's clock says
    assert watch.wrong([again._replace(restarts=4)], STEADY_SECONDS) != []
    assert Watch([]).wrong([again._replace(age=STEADY_SECONDS)], 0.0) == []


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        (Said("runs", OURS), []),
        (None, []),
        (Said("runs", OTHER), ["x-balancer has not taken its new configuration and goes on with an older one"]),
        (Said("refuses", OURS), ["x-balancer refuses its new configuration and goes on with an older one"]),
    ],
)
def test_a_balancer_runs_what_it_was_given(said: Said | None, wrong: list[str]) -> None:
    assert Watch([], OURS).wrong([Part("x-balancer", "balancer", "well", said=said)], 0.0) == wrong
