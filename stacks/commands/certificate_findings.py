"""Whether the edge can serve with the certificate and the key of the stack's secrets, and clients will believe it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from stacks.commands import certificates
from stacks.commands.certificates import Seen
from stacks.commands.findings import Finding
from stacks.spec import Deployment

_SOON: Final = 30  # days
_WHAT: Final = "certificate"


def findings(spec: Deployment, secrets: Mapping[str, str]) -> Iterator[Finding]:
    """Nothing for a deployment that has none, or whose certificate is missing: that is told with the secrets."""
    if spec.edge.tls.source not in {"generated", "provided"} or not (pem := secrets.get("tls_certificate")):
        return
    want = f"for {spec.edge.hostname}, valid for more than {_SOON} days"
    try:
        seen = certificates.read(pem)
    except ValueError:
        yield Finding(_WHAT, want, "no certificate in PEM", "refused", _remedy(spec, "a certificate"))
        return
    have = f"for {', '.join(seen.names) or 'no host'}, until {seen.ends:%Y-%m-%d}"
    if wrong := _wrong(spec, seen):
        yield Finding(_WHAT, want, have, "refused", f"{wrong}: {_remedy(spec, 'another')}")
    elif seen.days_left <= _SOON:
        yield Finding(_WHAT, want, have, "note", f"It ends in {seen.days_left:.0f} days: {_remedy(spec, 'another')}")
    else:
        yield Finding(_WHAT, want, have)
    if key := secrets.get("tls_key"):
        yield _key(spec, pem, key)
    if authority := secrets.get("tls_ca"):
        yield _authority(spec, authority)


def _wrong(spec: Deployment, seen: Seen) -> str:
    """Why a client would not believe it; empty when one may."""
    if seen.days_left <= 0:
        return "It must not have ended"
    if seen.starts > datetime.now(UTC):
        return f"It must be valid now, not from {seen.starts:%Y-%m-%d %H:%M} UTC on"
    if not certificates.covers(seen.names, spec.edge.hostname):
        return "It must name edge.hostname among its subject alternative names, which are all that clients look at"
    return ""


def _key(spec: Deployment, certificate: str, key: str) -> Finding:
    want = "the certificate's, without a passphrase"
    try:
        belongs = certificates.belongs(key, certificate)
    except ValueError:
        return Finding("key", want, "no key in PEM that can be read so", "refused", _remedy(spec, "a key like that"))
    if belongs:
        return Finding("key", want, "the certificate's")
    rule = "tls_certificate must begin with the certificate of the key; those of its issuers follow"
    return Finding("key", want, "of another certificate", "refused", f"{rule}: {_remedy(spec, 'both')}")


def _authority(spec: Deployment, pem: str) -> Finding:
    """What the smoke test, and every client, believes the certificate by."""
    want = "certificates in PEM"
    try:
        certificates.read(pem)
    except ValueError:
        return Finding("authority", want, "not readable", "refused", _remedy(spec, "the authority", "tls_ca"))
    return Finding("authority", want, "readable")


def _remedy(spec: Deployment, what: str, where: str = "tls_certificate and tls_key") -> str:
    if spec.edge.tls.source == "generated":
        return "make init STACK=… RENEW=1"
    return f"set {what} by {where}."
