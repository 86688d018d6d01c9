"""A certificate of the administrator's own: TLS_CERTIFICATE and TLS_KEY name its files beside the controller."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from hosts.inventory import Member
from stacks.commands import certificates
from stacks.commands.failures import Failure

CERTIFICATE: Final = "TLS_CERTIFICATE"
KEY: Final = "TLS_KEY"


class Provided(NamedTuple):
    """Both PEM."""

    certificate: str
    key: str

    def __repr__(self) -> str:
        return "Provided(…)"


def read(member: Member, environ: Mapping[str, str]) -> Provided | None:
    """None when none is given. Raises Failure for what is of no use: value, rule, remedy."""
    paths = {name: environ.get(name, "") for name in (CERTIFICATE, KEY)}
    if not any(paths.values()):
        return None
    if member.spec.edge.tls.source != "provided":
        raise Failure(
            f"edge.tls.source = {member.spec.edge.tls.source}: {CERTIFICATE} and {KEY} are for provided certificates; "
            "set edge.tls.source: provided, or leave them out"
        )
    if member.machine.user != "root":
        raise Failure(
            f"{KEY} = {paths[KEY]}: a key is uploaded by root alone, for another user's upload lies open for a moment; "
            "use HOST=root@…, or put it on the host yourself"
        )
    texts = {name: _text(name, path) for name, path in paths.items()}
    hostname = member.spec.edge.hostname
    try:
        seen = certificates.read(texts[CERTIFICATE])
    except ValueError as error:
        raise Failure(f"{CERTIFICATE} = {paths[CERTIFICATE]}: is no certificate in PEM: {error}") from None
    if not certificates.covers(seen.names, hostname):
        raise Failure(
            f"{CERTIFICATE} = {paths[CERTIFICATE]}: is for {', '.join(seen.names) or 'nobody'} and must be for edge.hostname "
            f"{hostname}; correct one of them"
        )
    if seen.days_left <= 0:
        raise Failure(f"{CERTIFICATE} = {paths[CERTIFICATE]}: ended on {seen.ends:%Y-%m-%d}; give one that is valid")
    return Provided(texts[CERTIFICATE], texts[KEY])


def _text(name: str, path: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{name} = {path or '(nothing)'}: cannot be read: {error}; name a file in PEM") from None
    if not text.lstrip().startswith("-----BEGIN "):
        raise Failure(f"{name} = {path}: must be PEM; convert it with openssl")
    return text
