"""Images by reference: repository, tag, digest."""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

Version: TypeAlias = tuple[int, ...]

_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)")


class Reference(NamedTuple):
    """`tag` and `digest` empty: there is none."""

    repository: str
    tag: str
    digest: str

    @property
    def version(self) -> Version:
        """As the tag tells it; () when it tells none."""
        found = _VERSION.match(self.tag)
        return tuple(map(int, found[1].split("."))) if found else ()

    @property
    def pinned(self) -> bool:
        """Whether it names one version: by a digest, or by a tag that begins with one."""
        return bool(self.digest or self.version)


def parse(image: str) -> Reference:
    rest, _, digest = image.partition("@")
    head, slash, last = rest.rpartition("/")
    name, _, tag = last.partition(":")
    return Reference(head + slash + name, tag, digest)


def version(image: str) -> Version:
    return parse(image).version
