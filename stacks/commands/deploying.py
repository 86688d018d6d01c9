"""A release, from what is wanted to a deployment that serves and a record of it."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import yaml

from stacks import older_image
from stacks.commands import (
    certificates_file,
    fixed_secrets,
    holding,
    image_labels,
    releases,
    schemas,
    store_images,
    strangers,
    targets,
)
from stacks.commands.failures import Failure, Interrupted
from stacks.commands.image_labels import Said
from stacks.commands.pulumi_cli import Configuration
from stacks.commands.releases import Release, SchemaUnknown
from stacks.commands.smoke import Step
from stacks.commands.stack import READY_SECONDS, Stack
from stacks.commands.targets import Target
from stacks.document import CONFIG_KEY, load
from stacks.images.recipe import SETTINGS_LABEL
from stacks.refusals import SpecError
from stacks.spec import Deployment

_GIT_SECONDS: Final = 10
_NOTHING: Final = Said(None)
_OF_BUILDING: Final = frozenset({"registry", "build_args"})


class Accepted(NamedTuple):
    """What somebody saw to, or puts up with: fixed_secrets.py, holding.py, targets.py, store_images.py."""

    secrets_changed: bool = False
    interrupt: bool = False
    target_changed: bool = False
    stores_changed: bool = False


_NONE: Final = Accepted()


class Wanted(NamedTuple):
    """`document` is what is recorded; `back` the release it returns to."""

    spec: Deployment
    document: dict[str, Any]
    file: Path | None = None
    back: Release | None = None
    accepted: Accepted = _NONE

    @property
    def verb(self) -> str:
        return "rollback" if self.back else "up"


class Deployed(NamedTuple):
    """`release` is the one that serves now; `changed` how many resources did."""

    release: Release
    changed: int
    steps: list[Step]


def up(stack: Stack, *, seconds: float = READY_SECONDS, accepted: Accepted = _NONE) -> Deployed:
    """What the stack file says. Raises Failure; an unreachable target has changed nothing then."""
    document = dict(stack.project.document(stack.name))
    wanted = Wanted(stack.project.deployment(stack.name), document, accepted=accepted)
    return deploy(stack, wanted, seconds=seconds)


def rollback(
    stack: Stack, *, seconds: float = READY_SECONDS, schema: int | None = None, accepted: Accepted = _NONE
) -> Deployed:
    """To the release that releases.py chooses. `schema`: how many migrations the database has. Raises Failure."""
    known = releases.read(stack.project.releases(stack.name))
    chosen = releases.earlier(known)
    said = _said(stack, chosen)
    target = schemas.returned_to(stack, known, said, schema)
    pinned = pin(target, said)
    stack.output.say(f"Returning to release {target.id} of {target.time}, image {target.image}.")
    with _stack_file(stack, pinned) as file:
        wanted = Wanted(_loaded(pinned, target), target.deployment, file, target, accepted)
        done = deploy(stack, wanted, seconds=seconds)
    stack.output.say(f"{stack.project.stack_file(stack.name)} is as it was: the next `make up` deploys what it says.")
    return done


def _said(stack: Stack, chosen: Release) -> Said:
    """By its image, which nothing but its labels tells of."""
    spec, images = _loaded(pin(chosen), chosen), chosen.deployment.get("images", {})
    pushed = bool(images.get("veloz") or images.get("registry"))
    return image_labels.read(chosen.image, spec, stack.pulumi.environ, pushed=pushed)


def pin(target: Release, said: Said = _NOTHING) -> dict[str, Any]:
    """Its description, with the image that it was then: nothing is built or pushed, so nothing says how.

    And with the settings that the image says it knows, when this program has others.
    """
    images = {name: value for name, value in target.deployment.get("images", {}).items() if name not in _OF_BUILDING}
    if (known := said.words(SETTINGS_LABEL)) and older_image.lacks(known):
        images["known_settings"] = list(known)
    return {**target.deployment, "images": {**images, "veloz": target.image}}


def _loaded(document: dict[str, Any], target: Release) -> Deployment:
    try:
        return load(document)
    except SpecError as error:
        lines = "\n".join(f"  {line}" for line in str(error).splitlines())
        raise Failure(
            f"Release {target.id} cannot be described any more; repair forward with make up:\n{lines}"
        ) from error


def deploy(stack: Stack, wanted: Wanted, *, seconds: float) -> Deployed:
    stack.aim(wanted.spec)
    configuration = stack.pulumi.configuration(stack.name)
    path = stack.project.releases(stack.name)
    known = releases.read(path)
    target = _looked_at(stack, wanted, known, configuration)
    gateways = holding.settled(wanted.spec, stack.pulumi.environ, stack.output)
    previewed = stack.preview(wanted.spec, configuration, wanted.file, dict(holding.broken(wanted.spec, gateways)))
    stack.show(previewed)
    strangers.check(wanted.spec, stack.pulumi.environ, stack.containers(), stack.name)
    if not wanted.accepted.interrupt:
        holding.check(wanted.spec, gateways, previewed, stack.name, wanted.verb)
    current = known[-1] if known else None
    # A good one that nothing changes is the same release still.
    same = current and current.outcome == "good" and current.deployment == wanted.document and not previewed.changes
    again = current if same else None
    release = again or _begun(stack, wanted, known, fixed_secrets.digests(wanted.spec, configuration.secrets))
    if not again:
        release = msgspec.structs.replace(release, target=dict(target.identity), stores=store_images.used(wanted.spec))
        releases.put(path, release)
    try:
        stack.output.say("deploying")
        moved = ["--run-program"] if wanted.accepted.target_changed else []
        anew = [word for urn in previewed.anew for word in ("--replace", urn)]
        progress = stack.apply("up", [*moved, *anew, *(["--config-file", str(wanted.file)] if wanted.file else [])])
        release = msgspec.structs.replace(release, image=str(stack.pulumi.outputs(stack.name).get("image") or ""))
        steps = _proven(stack, wanted.spec, configuration, seconds)
    except Failure as error:
        if not again:
            releases.put(path, release.ended("failed"))
        raise Failure(f"{error}\n{_way_back(stack, wanted.back)}") from error
    except (Interrupted, KeyboardInterrupt) as stopped:
        if not wanted.back:
            raise
        raise Interrupted(f"{str(stopped) or 'Stopped.'}\n{_way_back(stack, wanted.back)}") from stopped
    release = schemas.measured(release if again else release.ended("good"), stack.edge(configuration))
    if release != current:
        releases.put(path, release)
    certificates_file.write(stack, configuration)
    stack.output.say(f"Release {release.id} serves: {stack.edge(configuration).url}", "green")
    return Deployed(release, progress.changed, steps)


def _looked_at(stack: Stack, wanted: Wanted, known: Sequence[Release], configuration: Configuration) -> Target:
    """The target, when nothing speaks against going there with this. Raises Failure; nothing is changed."""
    if not wanted.accepted.secrets_changed:
        fixed_secrets.check(stack.name, wanted.spec, known, configuration.secrets, wanted.verb)
    verb = wanted.verb
    if not wanted.accepted.stores_changed:
        store_images.check(stack.name, wanted.spec, known, verb)
    if not wanted.accepted.target_changed:
        targets.check_name(stack.name, known, wanted.spec, verb)
        with suppress(targets.Silent):  # the pre-flight says it better
            targets.guard(stack, wanted.spec, verb)
    stack.check(wanted.spec, configuration)
    target = targets.read(wanted.spec, stack.pulumi.environ)
    if not wanted.accepted.target_changed:
        targets.check(stack.name, known, target, verb)
    return target


def _proven(stack: Stack, spec: Deployment, configuration: Configuration, seconds: float) -> list[Step]:
    """It serves, every part of it stands, and stands after the smoke test still. Raises Failure."""
    edge = stack.edge(configuration)
    stack.wait(edge, seconds)
    # Now: the smoke test would meet balancers that have not taken a new certificate yet.
    holding.hold(spec, configuration, stack.pulumi.environ, edge, stack.output, seconds)
    steps = stack.smoke(spec, configuration, edge)
    holding.hold(spec, configuration, stack.pulumi.environ, edge, stack.output, seconds)
    return steps


def _begun(stack: Stack, wanted: Wanted, known: Sequence[Release], fixed: dict[str, str]) -> Release:
    back = wanted.back
    schema, witness = (back.schema, back.witness) if back else schemas.of_image(stack, wanted.spec)
    release = releases.begin(
        known,
        wanted.document,
        schema=schema,
        commit=commit(stack.project.root),
        image=back.image if back else "",
        of=back.id if back else 0,
        fixed=fixed,
    )
    return msgspec.structs.replace(release, witness=witness)


def commit(root: Path) -> str:
    """Of the tree, with a plus when it differs; empty when git knows none."""
    try:
        head = _git(root, "rev-parse", "HEAD")
        return head + ("+" if _git(root, "status", "--porcelain") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],  # noqa: S607 - whichever the person uses
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
        timeout=_GIT_SECONDS,
    )
    return done.stdout.strip()


def _way_back(stack: Stack, unfinished: Release | None) -> str:
    """Of a return that is `unfinished` to its end: `make up` would deploy what it leaves."""
    if unfinished:
        return f"To go on to release {unfinished.id}, the same command again: make rollback STACK={stack.name}"
    try:
        known = releases.read(stack.project.releases(stack.name))
        target = releases.earlier(known)
    except Failure:
        return "There is no earlier release to return to; what was done so far stays, and `make up` goes on from there."
    try:
        releases.target(known)
    except SchemaUnknown:
        pass  # a rollback asks
    except Failure as error:
        return str(error)
    return f"Return to release {target.id}: make rollback STACK={stack.name}"


@contextmanager
def _stack_file(stack: Stack, document: dict[str, Any]) -> Iterator[Path]:
    """The stack's own, with another description; its secrets stay encrypted."""
    whole = yaml.safe_load(stack.project.text(stack.name))
    whole["config"][CONFIG_KEY] = document
    with tempfile.TemporaryDirectory(prefix="veloz-") as folder:
        path = Path(folder) / stack.project.stack_file(stack.name).name
        path.write_text(yaml.safe_dump(whole, sort_keys=False), encoding="utf-8")
        yield path
