"""What an image says of itself, read where it will be taken from: the Docker host, else its registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from stacks.commands import docker_facts, registry
from stacks.spec import Deployment


class Said(NamedTuple):
    """`labels` None: nobody can say, and `why`."""

    labels: Mapping[str, str] | None
    why: str = ""

    def number(self, label: str) -> int | None:
        """A label that is a whole number above 0; None for any other and for none."""
        text = (self.labels or {}).get(label, "")
        return (int(text) or None) if text.isascii() and text.isdecimal() else None

    def words(self, label: str) -> tuple[str, ...]:
        """Of a label with commas; none when it is not there."""
        return tuple(filter(None, (self.labels or {}).get(label, "").split(",")))


def read(image: str, spec: Deployment, environ: Mapping[str, str], *, pushed: bool = True) -> Said:
    """Of an image for this deployment. A cluster's nodes take it from its registry, whatever a daemon here has.

    `pushed` False: it was built for a Docker host and never left it.
    """
    if spec.topology != "kubernetes" and (labels := docker_facts.labels(spec, environ, image)) is not None:
        return Said(labels)
    if not pushed:
        return Said(None, "it is not on the Docker host")
    try:
        return Said(registry.labels(image))
    except registry.Unsaid as error:
        return Said(None, str(error))
