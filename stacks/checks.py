"""The rules that one field alone cannot state."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.refusals import Refusal
from stacks.spec import Deployment


def problems(spec: Deployment) -> Iterator[Refusal]:
    """Everything that is wrong with a description whose fields are right."""
    yield from ()
