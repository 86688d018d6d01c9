"""How a command ends in vain: sentences for the person at the terminal, never a traceback."""

from __future__ import annotations

from typing import Any


class Failure(Exception):
    """What is wrong, by value, rule and remedy. `facts`: what a machine is told beside that."""

    def __init__(self, said: str = "", **facts: Any) -> None:  # noqa: ANN401 - JSON values
        super().__init__(said)
        self.facts = facts


class Interrupted(Exception):
    """The person stopped it; the message says what was going on."""
