"""Every image is one version: the same today and tomorrow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from stacks.references import parse, version
from stacks.refusals import Refusal
from stacks.spec import Deployment

_OTHERS: Final = frozenset({"registry", "build_args", "pull_secret", "known_settings"})

# With least connections and a gateway that is tried again elsewhere, they loop until their own watchdog ends them: seen here
# with 3.2.0 under a rolling update; https://github.com/haproxy/haproxy/issues/2990.
_HAPROXY_LOOPS: Final = (3, 2, 0)
_HAPROXY_MENDED: Final = (3, 2, 2)


def problems(spec: Deployment) -> Iterator[Refusal]:
    for name, image in msgspec.structs.asdict(spec.images).items():
        if name not in _OTHERS and image and not parse(image).pinned:
            rule = "must have a digest, or a tag that begins with a version; latest is none"
            yield Refusal(f"images.{name}", image, rule, f"write e.g. {parse(image).repository}:1.2.3")
    if spec.edge.kind == "haproxy" and _HAPROXY_LOOPS <= version(spec.images.haproxy) < _HAPROXY_MENDED:
        rule = (
            f"must not be from {_dotted(_HAPROXY_LOOPS)} on and before {_dotted(_HAPROXY_MENDED)}: it ends under load"
        )
        yield Refusal("images.haproxy", spec.images.haproxy, rule, f"write haproxy:{_dotted(_HAPROXY_MENDED)} or later")


def _dotted(number: tuple[int, ...]) -> str:
    return ".".join(map(str, number))
