"""Every image is one version: the same today and tomorrow."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from stacks.references import parse
from stacks.refusals import Refusal
from stacks.spec import Deployment

_OTHERS = frozenset({"registry", "pull_secret"})


def problems(spec: Deployment) -> Iterator[Refusal]:
    for name, image in msgspec.structs.asdict(spec.images).items():
        if name not in _OTHERS and image and not parse(image).pinned:
            rule = "must have a digest, or a tag that begins with a version; latest is none"
            yield Refusal(f"images.{name}", image, rule, f"write e.g. {_repository(image)}:1.2.3")


def _repository(image: str) -> str:
    return parse(image).repository
