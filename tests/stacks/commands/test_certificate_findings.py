"""A certificate is judged before anything is deployed: whose it is, when it is valid, whether the key is its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

from stacks.commands.certificate_findings import findings
from stacks.commands.certificates import generate
from stacks.commands.findings import Finding, Verdict
from stacks.document import load

PROVIDED = load({"topology": "compose", "edge": {"hostname": "veloz.example.com", "tls": {"source": "provided"}}})
HOST = "veloz.example.com"
DAY = timedelta(days=1)
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)


def certificate(
    names: tuple[str, ...] = (HOST,),
    starts: timedelta = -DAY,
    ends: timedelta = 300 * DAY,
    key: CertificateIssuerPrivateKeyTypes = KEY,
) -> str:
    now = datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + starts)
        .not_valid_after(now + ends)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(map(x509.DNSName, names)), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def pem(key: CertificateIssuerPrivateKeyTypes = KEY, passphrase: bytes = b"", form: str = "PKCS8") -> str:
    hidden = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    kept = key.private_bytes(serialization.Encoding.PEM, getattr(serialization.PrivateFormat, form), hidden)
    return kept.decode()


def judged(tls_certificate: str, tls_key: str, spec: Any = PROVIDED) -> dict[str, Finding]:  # noqa: ANN401
    found = findings(spec, {"tls_certificate": tls_certificate, "tls_key": tls_key})
    return {one.what: one for one in found}


@pytest.mark.parametrize(
    ("given", "verdict", "said"),
    [
        (certificate(), "ok", ""),
        (certificate(("*.example.com",)), "ok", ""),
        (certificate(ends=13 * DAY), "note", "It ends in 13 days"),
        (certificate(ends=-DAY / 2), "refused", "It must not have ended"),
        (certificate(starts=DAY), "refused", "It must be valid now, not from 20"),
        (certificate(("other.example.com",)), "refused", "It must name edge.hostname"),
        # What stands in the common name is nobody's word any more.
        (certificate(()), "refused", "It must name edge.hostname"),
        ("-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n", "refused", "set a certificate by"),
    ],
)
def test_a_certificate_that_clients_would_not_believe_is_refused(given: str, verdict: Verdict, said: str) -> None:
    found = judged(given, pem())["certificate"]
    assert found.verdict == verdict
    assert said in found.remedy


@pytest.mark.parametrize(
    ("given", "verdict", "have"),
    [
        (pem(), "ok", "the certificate's"),
        (pem(form="TraditionalOpenSSL"), "ok", "the certificate's"),
        (pem(OTHER), "refused", "of another certificate"),
        (pem(RSA), "refused", "of another certificate"),
        (pem(passphrase=b"x"), "refused", "no key in PEM"),
        (certificate(), "refused", "no key in PEM"),
    ],
)
def test_the_key_must_be_the_certificates(given: str, verdict: Verdict, have: str) -> None:
    found = judged(certificate(), given)["key"]
    assert found.verdict == verdict
    assert found.have.startswith(have)
    assert verdict == "ok" or "tls_key" in found.remedy


def test_the_certificate_comes_before_its_issuers() -> None:
    issuer = certificate(("issuer.test",), key=OTHER)
    assert {one.verdict for one in judged(certificate() + issuer, pem()).values()} == {"ok"}
    wrong = judged(issuer + certificate(), pem())
    assert "must begin with the certificate of the key" in wrong["key"].remedy


def test_a_generated_one_is_made_anew_by_init() -> None:
    spec = load({"topology": "compose", "edge": {"hostname": HOST}})
    made, other = generate("a", [HOST]), generate("b", [HOST])
    assert {one.verdict for one in judged(made.certificate, made.key, spec).values()} == {"ok"}
    assert judged(made.certificate, other.key, spec)["key"].remedy.endswith("make init STACK=… RENEW=1")


def test_what_is_not_encrypted_has_none() -> None:
    assert not judged(certificate(), pem(), load({"topology": "compose", "edge": {"tls": {"source": "none"}}}))


def test_a_chain_with_a_damaged_issuer_is_refused() -> None:
    """A balancer refuses the whole file, and on its next start it would not serve at all."""
    head, body, *rest = certificate(key=OTHER).splitlines()
    damaged = "\n".join([head, body[:-5], *rest])
    assert judged(certificate() + damaged, pem())["certificate"].verdict == "refused"
    assert judged(certificate() + certificate(key=OTHER), pem())["certificate"].verdict == "ok"


@pytest.mark.parametrize(
    ("authority", "verdict"), [(certificate(), "ok"), ("-----BEGIN CERTIFICATE-----\nx", "refused")]
)
def test_an_authority_that_cannot_be_read_is_refused(authority: str, verdict: Verdict) -> None:
    given = {"tls_certificate": certificate(), "tls_key": pem(), "tls_ca": authority}
    (found,) = [one for one in findings(PROVIDED, given) if one.what == "authority"]
    assert found.verdict == verdict
