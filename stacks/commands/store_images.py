"""The images of the deployed stores: whether the next ones can go on with the data that the last ones left.

PostgreSQL starts on no other major version's data. Redis reads an older version's append-only file and refuses a newer one's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from stacks import references
from stacks.commands.failures import Failure
from stacks.commands.releases import Release
from stacks.spec import Deployment, Images, Role

ACCEPT: Final = "--stores-changed"
_STORES: Final[tuple[Role, ...]] = ("postgres", "redis")
# Their tags begin with the server's version; another repository's may begin with an extension's.
_REPOSITORIES: Final = frozenset({"postgres", "postgresql", "redis"})
_MOVE: Final = (
    "To move, dump it with the old image (pg_dumpall) and restore it into a new deployment, or use pg_upgrade; when its data are "
    "of the new version already"
)
_AWAY: Final = "It can be rebuilt; when its data were taken away"


def used(spec: Deployment) -> dict[str, str]:
    """Store → image, of those that this deployment runs in containers of their own."""
    return {role: str(getattr(spec.images, role)) for role in _STORES if spec.replicas(role)}


def check(stack: str, spec: Deployment, known: Sequence[Release], verb: str = "up") -> None:
    """Raises Failure for an image that cannot go on with the data of the last release, or of which nobody knows."""
    for store, image in used(spec).items():
        last = _last(known, store)
        if last is None or not (why := _refused(store, image, _image(last, store))):
            continue
        rule, remedy = why
        raise Failure(
            f"images.{store} = {image}: the data are of {_image(last, store)}, by release {last.id}, and {rule}. Nothing was "
            f"changed. Go on with the old one: images.{store}: {_image(last, store)}. {remedy}: "
            f"make {verb} STACK={stack} ARGS={ACCEPT}"
        )


def _last(known: Sequence[Release], store: str) -> Release | None:
    """The last that had it since all was destroyed: its volume stays while the store is external."""
    for one in reversed(known):
        if one.outcome == "destroyed":
            return None
        if _image(one, store):
            return one
    return None


def _image(release: Release, store: str) -> str:
    """Empty: it had none."""
    if release.stores is not None:
        return release.stores.get(store, "")
    said = release.deployment
    if said.get("topology") not in {"compose", "kubernetes"} or (said.get(store) or {}).get("store") == "external":
        return ""
    return str((said.get("images") or {}).get(store) or getattr(Images(), store))  # of records that say none


def _refused(store: str, image: str, before: str) -> tuple[str, str] | None:
    """Rule and remedy; None: it will do."""
    if image == before:
        return None
    new, old = _version(image), _version(before)
    if store == "postgres":
        if not new or not old:
            return "nobody knows whether both are of one major version, without which PostgreSQL does not start", _MOVE
        return ("PostgreSQL starts on no other major version's data", _MOVE) if new[0] != old[0] else None
    if not new or not old:
        return "nobody knows whether it is an older one, which cannot read a newer one's append-only file", _AWAY
    both = min(len(new), len(old), 2)  # the file's format changes with a minor version too
    return ("an older Redis cannot read a newer one's append-only file", _AWAY) if new[:both] < old[:both] else None


def _version(image: str) -> references.Version:
    """Of the server; () when the reference does not tell."""
    found = references.parse(image)
    return found.version if found.repository.rpartition("/")[2] in _REPOSITORIES else ()
