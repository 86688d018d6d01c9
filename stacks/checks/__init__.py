"""The rules of a description that one field alone cannot state, by noun."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.checks import addresses, capacity, edge, effect, images, limits, machines, older_image, settings, stores
from stacks.refusals import Refusal
from stacks.spec import Deployment

__all__ = ["problems"]


def problems(spec: Deployment) -> Iterator[Refusal]:
    """Everything that is wrong with a description whose fields are right."""
    for noun in (effect, edge, addresses, stores, settings, capacity, limits, images, machines, older_image):
        yield from noun.problems(spec)
