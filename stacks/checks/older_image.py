"""What the gateways of an older image would have to be told and cannot."""

from __future__ import annotations

from collections.abc import Iterator

from stacks import older_image
from stacks.environment import DERIVED, every_variable
from stacks.refusals import Refusal
from stacks.spec import Deployment


def problems(spec: Deployment) -> Iterator[Refusal]:
    if spec.images.known_settings and spec.images.veloz:
        yield from older_image.refusals(spec, every_variable(spec), DERIVED)
