"""How many migrations an image knows and the database has: who is asked, and whether an older release can come back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import aiohttp
import msgspec

from app.migrate import MigrationRefused, read_migrations
from app.schema_watch import Schema
from stacks.commands import image_labels, releases
from stacks.commands.client import Client, Edge
from stacks.commands.failures import Failure
from stacks.commands.image_labels import Said
from stacks.commands.releases import Release, SchemaUnknown, Witness
from stacks.commands.stack import Stack
from stacks.images.recipe import SCHEMA_LABEL
from stacks.spec import Deployment

_QUESTION: Final = "SELECT max(version) FROM schema_migrations"


def of_image(stack: Stack, spec: Deployment) -> tuple[int | None, Witness]:
    """Those of this tree, which the image is built from; of a named image, what its label says. None: nobody can say."""
    if not spec.images.veloz:
        return _ours(), "tree"
    said = image_labels.read(spec.images.veloz, spec, stack.pulumi.environ)
    number = said.number(SCHEMA_LABEL)
    if number is None:
        stack.output.say(
            f"How many migrations {spec.images.veloz} knows is not known: {said.why or f'it has no label {SCHEMA_LABEL}'}. "
            "Its gateways are asked when they serve.",
            "yellow",
        )
    return number, "image"


def _ours() -> int:
    try:
        return len(read_migrations())
    except MigrationRefused as error:
        raise Failure(f"app/schema: {error}.") from error


def asked(edge: Edge) -> Schema:
    """What a gateway says through the edge, ready or not. Raises Failure with the reason why none does."""
    try:
        body = asyncio.run(_health(edge))
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Failure(f"{edge.url} gives no answer: {str(error) or type(error).__name__}") from error
    if not isinstance(body, dict) or "schema" not in body:
        raise Failure(f"{edge.url}/health does not say it: its gateways are too old, or none of them answers")
    try:
        return msgspec.convert(body["schema"], Schema)
    except msgspec.ValidationError as error:
        raise Failure(f"{edge.url}/health says it in a way that is not known here: {error}") from error


async def _health(edge: Edge) -> Any:  # noqa: ANN401 - any JSON value
    async with Client(edge, "") as client:
        return (await client.json("GET", "/health"))[1]


def measured(release: Release, edge: Edge) -> Release:
    """With what its gateways say of themselves and of the database, where they say it."""
    try:
        said = asked(edge)
    except Failure:
        return release
    return msgspec.structs.replace(release, schema=said.known, witness="gateways", database=said.database)


def returned_to(stack: Stack, known: Sequence[Release], said: Said, told: int | None) -> Release:
    """The release to return to, with what its image's labels say. Raises Failure when its gateways might refuse the database.

    `told`: how many migrations the database has, as a person says; of a release of which nobody knows anything they say that
    it knows these.
    """
    chosen = releases.earlier(known)
    if (number := said.number(SCHEMA_LABEL)) is not None:
        chosen = msgspec.structs.replace(chosen, schema=number, witness="image")
    elif chosen.knows is None and told is not None:
        chosen = msgspec.structs.replace(chosen, schema=told, witness="person")
    known = [chosen if one.id == chosen.id else one for one in known]
    try:
        return releases.target(known, told)
    except SchemaUnknown as unknown:
        return _by_asking(stack, known, said, unknown)


def _by_asking(stack: Stack, known: Sequence[Release], said: Said, unknown: SchemaUnknown) -> Release:
    try:
        database = asked(stack.edge(stack.pulumi.configuration(stack.name))).database
        why = "its gateways cannot read it now"
    except Failure as error:
        database, why = None, str(error).rstrip(".")
    if database is None:
        raise Failure(
            f"{unknown}. The deployment was asked what its database has: {why}. {_remedy(stack)}"
        ) from unknown
    stack.output.say(f"The deployment says that its database has {database} migrations.")
    try:
        return releases.target(known, database)
    except SchemaUnknown as still:
        label = said.why or f"the image has no label {SCHEMA_LABEL}"
        raise Failure(f"{still}: {label}. The database has {database}. {_remedy(stack)}") from still


def _remedy(stack: Stack) -> str:
    return (
        "A release must know every migration that was applied, or its gateways refuse to start. Repair forward with make "
        f"up; or ask the database ({_QUESTION}), see to it that the image knows as many, and say the number: "
        f"make rollback STACK={stack.name} ARGS='--schema NUMBER'"
    )
