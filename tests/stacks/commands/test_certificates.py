"""Generated certificates: who they are for, who believes them, and what the authority may not do."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from stacks.commands.certificates import covers, generate, read

NAMES = ["veloz.test", "127.0.0.1", "veloz.test"]
MADE = generate("mine", NAMES)
AUTHORITY = x509.load_pem_x509_certificate(MADE.authority.encode())
LEAF = x509.load_pem_x509_certificate(MADE.certificate.encode())


@pytest.mark.parametrize(
    ("host", "believed"),
    [
        (x509.DNSName("veloz.test"), True),
        (x509.IPAddress(ipaddress.ip_address("127.0.0.1")), True),
        (x509.DNSName("other.test"), False),
    ],
)
def test_clients_of_the_authority_believe_it_for_its_names_alone(host: x509.DNSName, believed: bool) -> None:  # noqa: FBT001
    verifier = PolicyBuilder().store(Store([AUTHORITY])).time(datetime.now(UTC)).build_server_verifier(host)
    if believed:
        assert verifier.verify(LEAF, []) == [LEAF, AUTHORITY]
        return
    with pytest.raises(VerificationError):
        verifier.verify(LEAF, [])


def test_it_lasts_no_longer_than_clients_accept_and_is_of_the_curve_that_they_want() -> None:
    assert timedelta(days=360) < LEAF.not_valid_after_utc - LEAF.not_valid_before_utc <= timedelta(days=366)
    key = LEAF.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"


def test_it_signs_nothing_and_the_authority_signs_no_other_authority() -> None:
    assert not LEAF.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    constraints = AUTHORITY.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)


def test_key_and_certificate_belong_together(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("chain") / "chain.pem"
    path.write_text(MADE.certificate + MADE.key)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)


def test_what_it_is_for_is_read_back_and_no_key_is_in_its_words() -> None:
    seen = read(MADE.certificate)
    assert seen.names == ("veloz.test", "127.0.0.1")
    assert 364 < seen.days_left < 365
    assert repr(MADE) == "Generated(…)"
    with pytest.raises(ValueError, match="PEM"):
        read("no certificate")


@pytest.mark.parametrize(
    ("names", "host", "covered"),
    [
        (["a.test"], "a.test", True),
        (["*.test"], "a.test", True),
        (["*.test"], "b.a.test", False),
        (["*.test"], "test", False),
        (["A.test"], "a.TEST", True),
        ([], "a.test", False),
    ],
)
def test_a_wildcard_stands_for_one_label(names: list[str], host: str, covered: bool) -> None:  # noqa: FBT001
    assert covers(names, host) is covered
