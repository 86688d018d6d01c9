"""Every image is one version: the same today and tomorrow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from stacks.references import parse
from stacks.refusals import Refusal
from stacks.spec import Deployment

_OTHERS: Final = frozenset({"registry", "build_args", "pull_secret"})


def problems(spec: Deployment) -> Iterator[Refusal]:
    for name, image in msgspec.structs.asdict(spec.images).items():
        if name not in _OTHERS and image and not parse(image).pinned:
            rule = "must have a digest, or a tag that begins with a version; latest is none"
            yield Refusal(f"images.{name}", image, rule, f"write e.g. {parse(image).repository}:1.2.3")
