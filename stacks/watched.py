"""The folder that a balancer watches (stacks/images/watch.sh), and what it says of it: the sum of what runs, or is refused."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from stacks import edge
from stacks.files import File, needed
from stacks.secrets import Secrets
from stacks.spec import Deployment

Verdict: TypeAlias = Literal["runs", "refuses"]

FOLDER: Final = "/etc/veloz/balancer"
SCRIPT: Final = f"{FOLDER}/watch.sh"
_WATCH: Final = Path(__file__).parent / "images" / "watch.sh"
_SAID: Final = re.compile(r"^watch: (runs|refuses) ([0-9a-f]{64})$", re.MULTILINE)


class Said(NamedTuple):
    verdict: Verdict
    digest: str


def files(spec: Deployment, secrets: Secrets) -> tuple[File, ...]:
    """What is in it."""
    name, text = edge.configuration(spec)
    made = [File(f"{FOLDER}/{name}", text), File(SCRIPT, _WATCH.read_text(encoding="utf-8"))]
    if spec.encrypted:
        certificate, key = needed(secrets.tls_certificate, "tls_certificate"), needed(secrets.tls_key, "tls_key")
        made += [File(f"{FOLDER}/tls.crt", certificate, secret=True), File(f"{FOLDER}/tls.key", key, secret=True)]
    return tuple(made)


def digest(files: Iterable[File]) -> str:
    """As the script makes it: the sum of what `sha256sum *` says. Their contents are plain strings."""
    sums = sorted((file.name, hashlib.sha256(str(file.content).encode()).hexdigest()) for file in files)
    return hashlib.sha256("".join(f"{of}  {name}\n" for name, of in sums).encode()).hexdigest()


def last(log: str) -> Said | None:
    """The last word of a balancer's log; None when it says nothing of it."""
    found = None
    for match in _SAID.finditer(log):
        found = Said("runs" if match[1] == "runs" else "refuses", match[2])
    return found
