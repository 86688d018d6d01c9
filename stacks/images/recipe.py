"""How the image of a deployment is built and what it is called: a pure function of the description and the tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

from app import __version__
from app.migrate import read_migrations
from stacks.images.context import context_digest
from stacks.older_image import SETTINGS
from stacks.spec import Deployment

Target: TypeAlias = Literal["gateway", "single"]
REPOSITORIES: Final[Mapping[Target, str]] = {"gateway": "veloz", "single": "veloz-single"}
# How many migrations an image knows: a rollback compares it with what the database has.
SCHEMA_LABEL: Final = "io.veloz.schema"
# Which settings its gateways know, by commas: they refuse all others (see stacks/older_image.py).
SETTINGS_LABEL: Final = "io.veloz.settings"
_DIGITS = 12


class Recipe(NamedTuple):
    """`tag` names what is in it: other sources or another base image give another tag, and nothing else does."""

    target: Target
    tag: str
    arguments: dict[str, str]


def target(spec: Deployment) -> Target:
    return "single" if spec.topology == "single" else "gateway"


def recipe(spec: Deployment, files: Mapping[str, bytes], version: str = __version__) -> Recipe:
    digest = context_digest(files, spec.images.python)
    repository = "/".join(filter(None, [spec.images.registry, REPOSITORIES[target(spec)]]))
    # What the builder's network asks for may differ from place to place; the image does not, so the tag does not.
    arguments: dict[str, str] = {str(name): value for name, value in spec.images.build_args.items()}
    arguments |= {"PYTHON_IMAGE": spec.images.python, "VERSION": version, "REVISION": digest}
    arguments |= {"SCHEMA": str(len(read_migrations())), "SETTINGS": ",".join(SETTINGS)}
    return Recipe(target(spec), f"{repository}:{version}-{digest[:_DIGITS]}", arguments)
