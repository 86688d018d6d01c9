"""The engine over its real pipe against the Python model, command by command."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.engine.commands import OPENING, SCRIPTS, START, Step
from tests.engine.model import Model
from tests.engine.model_events import Event
from tests.engine.model_state import Order
from tests.engine.pipe import by_request, talk

# The same examples every time, unless someone goes looking for new ones: VELOZ_EXAMPLES=5000.
EXAMPLES = int(os.environ.get("VELOZ_EXAMPLES", "0"))
SETTINGS = settings(
    max_examples=EXAMPLES or 80,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    phases=[Phase.generate],  # `shortest` shrinks: in seconds, where Hypothesis takes minutes for a script this long
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


def without_message(event: Event) -> Event:
    return {key: value for key, value in event.items() if key != "message"}


def play(steps: list[Step], model: Model) -> dict[str, tuple[str, list[Event]]]:
    """Lines and the events the model expects, by request number."""
    clock, expected = START, {}
    opening = [Step(line, 0) for line in OPENING]
    closing = [Step(f"{verb} {account}", 0) for account in ("main", "Else") for verb in ("STATE", "HASH")]
    for number, step in enumerate([*opening, *steps, *closing], start=1):
        clock += step.wait
        line = step.line(number, clock, model) if model.markets else f"@{number} {step.text} ts={clock}"
        expected[str(number)] = (line, model.handle(line))
        clock = max(clock, model.clock)
    return expected


def differences(engine: Path, steps: list[Step], model: Model) -> list[str]:
    expected = play(steps, model)
    lines = [line for line, _ in expected.values()]
    answers = by_request(talk(engine, "".join(f"{line}\n" for line in lines).encode()))
    found = []
    for number, (line, events) in expected.items():
        said = [without_message(event) for event in answers.get(number, [])]
        if [list(event.items()) for event in said] != [list(event.items()) for event in events]:
            found.append(f"{line}\n  engine {said}\n  model  {events}")
    return found


def shortest(engine: Path, steps: list[Step]) -> list[Step]:
    """The steps without those that the difference does not need."""
    for place in reversed(range(len(steps))):
        fewer = steps[:place] + steps[place + 1 :]
        if differences(engine, fewer, Model()):
            steps = fewer
    return steps


@SETTINGS
@given(steps=SCRIPTS)
def test_the_engine_and_the_model_say_the_same(engine: Path, steps: list[Step]) -> None:
    if differences(engine, steps, Model()):
        short = shortest(engine, steps)
        script = "\n".join(line for line, _ in play(short, Model()).values())
        pytest.fail(f"{script}\n{differences(engine, short, Model())[0]}")


class NoFees(Model):
    def fill(self, order: Order, price: int, qty: int, liquidity: str) -> bool:
        self.accounts[order.account].limits[f"{liquidity}_fee_bps"] = 0
        return super().fill(order, price, qty, liquidity)


class SelfTradeIgnored(Model):
    def meets_own(self, order: Order, price: int) -> bool:
        del order, price
        return False


class TakenForgotten(Model):
    def go(self, order: Order) -> None:
        self.markets[order.symbol].taken.clear()
        super().go(order)


@pytest.mark.parametrize("wrong", [NoFees, SelfTradeIgnored, TakenForgotten])
def test_a_wrong_model_is_found_out(engine: Path, wrong: type[Model]) -> None:
    texts = ["QUOTE S 9 1 10 0.5", *(f"ORDER BUY S 1 10 o{n}" for n in range(2)), "ORDER SELL S 1 10 x"]
    steps = [Step(text, 0) for text in texts]
    assert differences(engine, steps, Model()) == []
    assert differences(engine, steps, wrong())
