"""Files of a container as objects of Kubernetes: what is secret in the Secret, the rest in the role's ConfigMap."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

import pulumi
from pulumi_kubernetes.core import v1 as core

from stacks import names
from stacks.components.k8s.pod import Volume
from stacks.files import File
from stacks.spec import Role

# Readable by the pod's user through its group, and by nobody else.
FILE_MODE: Final = 0o440
# Annotations of pods: a pod whose files changed is replaced.
CONFIG_SUM: Final = "io.veloz/config"
SECRETS_SUM: Final = "io.veloz/secrets"
_TLS: Final = frozenset({"tls.crt", "tls.key"})


def key(file: File) -> str:
    """Under what a file is kept: `veloz-secrets` spells its keys with hyphens, `veloz-tls` has those of its type."""
    return file.name.replace("_", "-") if _object(file) == names.SECRETS else file.name


def config(files: Iterable[File]) -> dict[str, pulumi.Input[str]]:
    return {key(file): file.content for file in files if not file.secret}


def secrets(files: Iterable[File]) -> dict[str, pulumi.Input[str]]:
    """What of them is in `veloz-secrets`."""
    return {key(file): file.content for file in files if _object(file) == names.SECRETS}


def volumes(role: Role, files: Sequence[File]) -> list[Volume]:
    """One for each folder that lies in no other, so that all files in it change at once."""
    roots: list[PurePosixPath] = []
    for folder in sorted({PurePosixPath(file.path).parent for file in files}):
        if not any(folder.is_relative_to(root) for root in roots):
            roots.append(folder)
    return [_folder(role, root, [f for f in files if PurePosixPath(f.path).is_relative_to(root)]) for root in roots]


def sums(files: Sequence[File], salt: pulumi.Input[str], more: Mapping[str, str] = {}) -> dict[str, pulumi.Input[str]]:
    """Annotations that change when a file does, or `more`.

    Whoever may look at pods reads them: secrets are hashed with one that nobody can guess.
    """
    found: dict[str, pulumi.Input[str]] = {CONFIG_SUM: _sum(config(files) | dict(more), "")}
    secret = {file.name: file.content for file in files if file.secret}
    return found | ({SECRETS_SUM: _secret(_sum(secret, salt))} if secret else {})


def _secret(text: pulumi.Output[str]) -> pulumi.Output[str]:
    return pulumi.Output.secret(text)


def _object(file: File) -> str:
    if not file.secret:
        return ""
    return names.TLS_SECRET if file.name in _TLS else names.SECRETS


def _folder(role: Role, root: PurePosixPath, files: Sequence[File]) -> Volume:
    sources = []
    for name in sorted({_object(file) for file in files}):
        items = [
            core.KeyToPathArgs(key=key(file), path=str(PurePosixPath(file.path).relative_to(root)))
            for file in files
            if _object(file) == name
        ]
        secret = core.SecretProjectionArgs(name=name, items=items) if name else None
        plain = None if name else core.ConfigMapProjectionArgs(name=names.object_name(role), items=items)
        sources.append(core.VolumeProjectionArgs(secret=secret, config_map=plain))
    name = "-".join(root.parts[1:]).replace(".", "-").replace("_", "-")
    projected = core.ProjectedVolumeSourceArgs(default_mode=FILE_MODE, sources=sources)
    return Volume(name, str(root), core.VolumeArgs(name=name, projected=projected))


def _sum(contents: Mapping[str, pulumi.Input[str]], salt: pulumi.Input[str]) -> pulumi.Output[str]:
    def digest(told: Mapping[str, object]) -> str:
        return hmac.new(str(told["salt"]).encode(), str(told["text"]).encode(), hashlib.sha256).hexdigest()

    text = pulumi.Output.all(**contents).apply(lambda found: json.dumps(found, sort_keys=True))
    return pulumi.Output.all(text=text, salt=salt).apply(digest)
