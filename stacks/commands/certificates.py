"""An authority for one deployment and the certificate it gives to the edge. The authority's key is not kept."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# The longest that Mozilla's guideline lets pass is 366.
DAYS: Final = 365
_BACKDATED: Final = timedelta(minutes=10)  # for clocks that are behind
_COMMON_NAME: Final = 64  # at most, says X.520


class Generated(NamedTuple):
    """All PEM."""

    authority: str
    certificate: str
    key: str

    def __repr__(self) -> str:
        return "Generated(…)"


class Seen(NamedTuple):
    """What a certificate says of itself."""

    names: tuple[str, ...]
    starts: datetime
    ends: datetime

    @property
    def days_left(self) -> float:
        return (self.ends - datetime.now(UTC)).total_seconds() / 86_400


def generate(name: str, hostnames: Sequence[str]) -> Generated:
    """For the deployment `name`: valid for `hostnames`, which may be addresses, for 365 days."""
    start = datetime.now(UTC) - _BACKDATED
    end = start + timedelta(days=DAYS)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"VeloZ {name} authority")])
    authority = (
        _builder(issuer, issuer, authority_key.public_key(), start, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostnames[0][:_COMMON_NAME])])
    certificate = (
        _builder(subject, issuer, key.public_key(), start, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([_general(host) for host in dict.fromkeys(hostnames)]), critical=False
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Generated(_pem(authority), _pem(certificate), private.decode())


def read(pem: str) -> Seen:
    """The first in it, which is the one that is served. Raises ValueError where any is no certificate."""
    certificate = x509.load_pem_x509_certificates(pem.encode())[0]
    starts, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return Seen((), starts, ends)
    names = (*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress)))
    return Seen(tuple(names), starts, ends)


def belongs(key: str, certificate: str) -> bool:
    """Whether it is the key of the certificate. Raises ValueError for what is no key, or one with a passphrase."""
    try:
        public = serialization.load_pem_private_key(key.encode(), None).public_key()
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(str(error)) from error
    return _spki(public) == _spki(x509.load_pem_x509_certificate(certificate.encode()).public_key())


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def covers(names: Sequence[str], hostname: str) -> bool:
    """Whether a certificate for `names` is one for this host; a wildcard stands for one label."""
    host, there = hostname.lower(), {name.lower() for name in names}
    parent = host.partition(".")[2]
    return host in there or (bool(parent) and f"*.{parent}" in there)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
