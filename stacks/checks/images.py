"""Every image is one version: the same today and tomorrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from stacks.references import parse, version
from stacks.refusals import Refusal
from stacks.spec import Deployment, Images

_OTHERS: Final = frozenset({"registry", "build_args", "pull_secret", "known_settings"})

# With least connections and a gateway that is tried again elsewhere, they loop until their own watchdog ends them: seen here
# with 3.2.0 under a rolling update; https://github.com/haproxy/haproxy/issues/2990.
_HAPROXY_LOOPS: Final = (3, 2, 0)
_HAPROXY_MENDED: Final = (3, 2, 2)

# What Alpine's variants lack. A digest alone does not tell whose it is.
_NO_BASH: Final = "it has no bash, by which the health check asks"
_NOT_ALPINE: Final[Mapping[str, str]] = {
    "python": "the image is built with apt-get",
    "nginx": _NO_BASH,
    "haproxy": _NO_BASH,
    "postgres": "its user is 70 instead of 999, and it sorts text otherwise, which breaks indexes that were made before",
    "redis": "its group is 1000 instead of 999",
}


def problems(spec: Deployment) -> Iterator[Refusal]:
    for name, image in msgspec.structs.asdict(spec.images).items():
        if name not in _OTHERS and image and not parse(image).pinned:
            rule = "must have a digest, or a tag that begins with a version; latest is none"
            yield Refusal(f"images.{name}", image, rule, f"write e.g. {parse(image).repository}:1.2.3")
        if (why := _NOT_ALPINE.get(name)) and _is_alpine(image):
            usual = getattr(Images(), name)
            yield Refusal(f"images.{name}", image, f"must not be Alpine's: {why}", f"write Debian's, e.g. {usual}")
    if spec.edge.kind == "haproxy" and _HAPROXY_LOOPS <= version(spec.images.haproxy) < _HAPROXY_MENDED:
        rule = (
            f"must not be from {_dotted(_HAPROXY_LOOPS)} on and before {_dotted(_HAPROXY_MENDED)}: it ends under load"
        )
        yield Refusal("images.haproxy", spec.images.haproxy, rule, f"write haproxy:{_dotted(_HAPROXY_MENDED)} or later")


def _is_alpine(image: str) -> bool:
    """By its tag: alpine, 15-alpine, 15.13-alpine3.22."""
    return any(word.startswith("alpine") for word in parse(image).tag.split("-"))


def _dotted(number: tuple[int, ...]) -> str:
    return ".".join(map(str, number))
