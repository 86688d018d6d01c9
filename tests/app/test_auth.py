"""Where a request comes from and what it brings, without any server."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from app.address import client_address, is_loopback, networks, site
from app.auth import Credential, check_origin, credential_of
from app.errors import Forbidden, InvalidApiKey, InvalidToken
from app.roles import Role

PROXIES = networks(["10.0.0.0/8", "::1"])


def request(method: str = "GET", peer: str = "192.0.2.1", **headers: str) -> web.Request:
    transport = Mock()
    transport.get_extra_info = lambda name: (peer, 1234) if name == "peername" else None
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return make_mocked_request(method, "/", headers=named, transport=transport)


def test_a_key_comes_in_its_header_or_as_bearer() -> None:
    assert credential_of(request(X_API_Key="k")) == Credential("k")
    assert credential_of(request(Authorization="bearer t")) == Credential("t", bearer=True)
    assert credential_of(request(Cookie="veloz_session=t")) == Credential("t", cookie=True)
    assert credential_of(request()) is None


def test_a_header_goes_before_a_cookie() -> None:
    assert credential_of(request(X_API_Key="k", Cookie="veloz_session=t")) == Credential("k")


@pytest.mark.parametrize("header", ["Basic dXNlcjpwYXNz", "Bearer", "Bearer ", "t", "Bearer " + "x" * 600])
def test_a_malformed_authorization_is_refused(header: str) -> None:
    with pytest.raises(InvalidToken):
        credential_of(request(Authorization=header))


def test_two_credentials_or_an_endless_one_are_refused() -> None:
    with pytest.raises(InvalidToken):
        credential_of(request(X_API_Key="k", Authorization="Bearer t"))
    with pytest.raises(InvalidApiKey):
        credential_of(request(X_API_Key="k" * 600))


def test_a_cookie_changes_something_only_from_our_own_pages() -> None:
    check_origin(request("GET"))
    check_origin(request("POST", Sec_Fetch_Site="same-origin"))
    check_origin(request("POST", Origin="https://veloz.example", Host="veloz.example"))
    for headers in (
        {},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site", "Origin": "https://veloz.example", "Host": "veloz.example"},
        {"Origin": "https://evil.example", "Host": "veloz.example"},
        {"Origin": "null", "Host": "veloz.example"},
    ):
        with pytest.raises(Forbidden):
            check_origin(request("POST", **headers))


def test_roles_include_those_below() -> None:
    assert [[a.includes(b) for b in Role] for a in Role] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


def test_nobody_is_believed_about_his_address_but_a_trusted_proxy() -> None:
    assert client_address(request(X_Forwarded_For="1.2.3.4"), ()) == "192.0.2.1"
    assert client_address(request(X_Forwarded_For="1.2.3.4"), PROXIES) == "192.0.2.1"
    assert client_address(request(peer="10.1.1.1", X_Forwarded_For="1.2.3.4"), PROXIES) == "1.2.3.4"


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("6.6.6.6, 1.2.3.4", "1.2.3.4"),
        ("6.6.6.6, 1.2.3.4, 10.2.2.2", "1.2.3.4"),
        ("10.3.3.3, 10.2.2.2", "10.3.3.3"),
        ("forged, 1.2.3.4", "1.2.3.4"),
        ("1.2.3.4, forged", "10.1.1.1"),
        ("", "10.1.1.1"),
        ("2001:db8::1, ::1", "2001:db8::1"),
    ],
)
def test_behind_proxies_the_rightmost_untrusted_address_counts(forwarded: str, address: str) -> None:
    assert client_address(request(peer="10.1.1.1", X_Forwarded_For=forwarded), PROXIES) == address


def test_a_limit_counts_an_ipv6_customer_as_one() -> None:
    assert site("2001:db8:1:2::5") == site("2001:db8:1:2:ffff::1") != site("2001:db8:1:3::5")
    assert site("::ffff:192.0.2.1") == site("192.0.2.1") == "192.0.2.1"
    assert site("local") == "local"


def test_loopback_is_told_from_elsewhere() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.3.2.1", "::1", "local")))
    assert not any(map(is_loopback, ("10.0.0.1", "2001:db8::1", "nonsense")))
