"""The secrets that a running deployment cannot be given anew by an update, and whether they were changed since the last one.

A release records a digest of each, from which the secret cannot be had: a random salt, and scrypt for those that are not random.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Final

from stacks import names
from stacks.commands.failures import Failure
from stacks.commands.releases import Release
from stacks.secrets import CONFIG_KEY
from stacks.spec import Deployment

ACCEPT: Final = "--secrets-changed"
_SALT_BYTES: Final = 16
_COST: Final = {"n": 2**14, "r": 8, "p": 1}
_WHY: Final[Mapping[str, str]] = {
    "postgres_password": "is not the one that the database has: PostgreSQL takes one when it is made and goes on with that, so "
    "that no new gateway could log in. Put the old one back, or give the database the new one first, "
    "ALTER ROLE {role} PASSWORD '…', by: {shell} psql --username {role}",
    "cluster_secret": "is not the one that the running gateways have: old and new ones would not trust one another, and the "
    "update would never end. Put the old one back, or take the deployment away first, its data stays: make destroy STACK={stack}",
    "grafana_password": "is not the one that Grafana has: it takes one when its data are made and goes on with that. Put the old "
    "one back, or give it the new one first: docker exec -it {grafana} grafana cli admin reset-admin-password NEW",
}


def digests(spec: Deployment, given: Mapping[str, str]) -> dict[str, str]:
    """Name → salt and digest, of those that this deployment has."""
    return {name: _digest(given[name], secrets.token_bytes(_SALT_BYTES)) for name in _of(spec) if given.get(name)}


def check(stack: str, spec: Deployment, known: Sequence[Release], given: Mapping[str, str], verb: str = "up") -> None:
    """Raises Failure for those that are others than at the last release that had them: data outlive their stores."""
    for name in _of(spec):
        recorded, value = _last(known, name), given.get(name)
        if not recorded or not value or _digest(value, _salt(recorded)) == recorded:
            continue
        grafana = names.container(spec, "grafana")
        why = _WHY[name].format(role=names.DATABASE, stack=stack, shell=_shell(spec), grafana=grafana)
        raise Failure(
            f"veloz:{CONFIG_KEY}.{name} {why}. Then: make {verb} STACK={stack} ARGS={ACCEPT}. Nothing was changed."
        )


def _last(known: Sequence[Release], name: str) -> str | None:
    for release in reversed(known):
        if release.outcome == "destroyed":
            return None
        if name in release.fixed:
            return release.fixed[name]
    return None


def _of(spec: Deployment) -> tuple[str, ...]:
    store = ("postgres_password",) if spec.postgres.store == "deployed" else ()
    # On Kubernetes it has no data of its own, and takes what it is given with each start.
    panels = ("grafana_password",) if spec.topology == "compose" and spec.replicas("grafana") else ()
    return store if spec.topology == "single" else (*store, *panels, "cluster_secret")


def _shell(spec: Deployment) -> str:
    if spec.topology == "kubernetes":
        return f"kubectl --namespace {spec.name} exec -it {names.object_name('postgres')}-0 --"
    return f"docker exec -it {names.container(spec, 'postgres')}"


def _digest(value: str, salt: bytes) -> str:
    made = hashlib.scrypt(value.encode(), salt=salt, **_COST)
    return ":".join(base64.b64encode(part).decode() for part in (salt, made))


def _salt(recorded: str) -> bytes:
    return base64.b64decode(recorded.partition(":")[0])
