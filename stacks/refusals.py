"""What is wrong with a description, in words for the person who wrote it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

_SHOWN = 80


class Refusal(NamedTuple):
    """`value` None: there is none, or it must not be shown."""

    path: str
    value: object
    rule: str
    remedy: str

    def __str__(self) -> str:
        shown = "" if self.value is None else f" = {_text(self.value)}"
        return f"{self.path}{shown}: {self.rule}; {self.remedy}"


class SpecError(Exception):
    """Everything that is wrong with it, one a line."""

    def __init__(self, refusals: Iterable[Refusal]) -> None:
        self.refusals = tuple(refusals)
        super().__init__("\n".join(str(refusal) for refusal in self.refusals))


def _text(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
