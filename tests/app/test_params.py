"""Bodies, forms and queries are read exactly or refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from app.errors import BadJson, BadParams
from app.params import Amount, Token, Whole, from_form, from_json, from_pairs, to_struct


class Body(msgspec.Struct, forbid_unknown_fields=True):
    qty: Amount
    id: Token | None = None
    when: Whole | None = None
    on: bool | None = None


def read(body: str) -> Body:
    return to_struct(from_json(body.encode()), Body, text=False)


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ('"0.1"', 10_000_000),
        ("0.1", 10_000_000),
        ("92233720368.54775807", 2**63 - 1),
        ("1.00000001", 100_000_001),
        ("0", 0),
        ('"007"', 700_000_000),
    ],
)
def test_an_amount_is_read_by_its_text(text: str, units: int) -> None:
    assert read(f'{{"qty": {text}}}').qty == units


@pytest.mark.parametrize(
    "text",
    [
        "123456789012345678901234567890",
        '"123456789012345678901234567890"',
        "92233720368.54775808",
        "1e5",
        '"1e5"',
        "1E-2",
        "-1",
        "-0",
        '"-1"',
        '"+1"',
        '"\uff11"',
        '" 1"',
        '"1 "',
        '"1\\n"',
        '"1."',
        '".5"',
        '""',
        '"NaN"',
        '"0x10"',
        '"1_000"',
        "1.000000001",
        "true",
        "null",
        "[1]",
        "{}",
    ],
)
def test_what_is_no_plain_decimal_is_refused_as_bad_params(text: str) -> None:
    with pytest.raises(BadParams, match="qty"):
        read(f'{{"qty": {text}}}')


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "+1", "01", ".5", "1.", "\uff11"])
def test_what_is_no_json_number_is_refused_as_bad_json(text: str) -> None:
    with pytest.raises(BadJson):
        read(f'{{"qty": {text}}}')


@pytest.mark.parametrize("token", ["BTCUSDT", "a" * 64, "A.b_c:/-9"])
def test_a_token_is_taken(token: str) -> None:
    assert read(f'{{"qty": 1, "id": "{token}"}}').id == token


@pytest.mark.parametrize(
    "token", ["", "a" * 65, "BTC USDT", "BTCUSDT\\n", "\\nORDER", "a\\u0000b", "\\u0661", "é", "a;b", "\\u212a"]
)
def test_any_other_id_is_refused(token: str) -> None:
    with pytest.raises(BadParams, match="id"):
        read(f'{{"qty": 1, "id": "{token}"}}')


@pytest.mark.parametrize("when", ["-1", "1.5", "1e3", str(2**63), '"+1"', '"1_0"', "true"])
def test_what_is_no_whole_number_is_refused(when: str) -> None:
    with pytest.raises(BadParams, match="when"):
        read(f'{{"qty": 1, "when": {when}}}')


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"1",
        b"null",
        b"\xff\xfe",
        b'{"qty": 1, "qty": 2}',
        b'{"qty": {"a": 1, "a": 2}}',
        b'{"qty": 1}x',
        b'\xef\xbb\xbf{"qty": 1}',
        b"[" * 60_000,
        b'{"qty":' * 10_000,
        b'{"qty": "\\ud800"}',
        b"{'qty': 1}",
    ],
)
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadJson):
        from_json(body)


def test_unknown_and_missing_fields_are_refused() -> None:
    with pytest.raises(BadParams, match="stopprice"):
        read('{"qty": 1, "stopprice": 2}')
    with pytest.raises(BadParams, match="qty"):
        read("{}")


def form(body: bytes) -> Body:
    return to_struct(from_form(body), Body, text=True)


def test_a_form_says_the_same_in_words() -> None:
    assert form(b"qty=0.5&id=x%2Fy&when=7&on=true") == Body(Amount(50_000_000), Token("x/y"), Whole(7), on=True)


def test_null_is_a_word_like_any_other_in_a_form() -> None:
    assert form(b"qty=1&id=null").id == "null"
    with pytest.raises(BadParams, match="when"):
        form(b"qty=1&when=null")


@pytest.mark.parametrize(
    "body",
    [
        b"qty=1&qty=2",
        b"qty=1e5",
        b"qty=1&on=null",
        b"qty=1&on=TRUE",
        b"qty=1&on=1",
        b"qty=%31%30%0a",
        b"qty=1&id=a%ff",
        b"qty=1&id=%zz",
        b"qty",
        b"qty=1;id=2",
        b"qty=\xff",
        b"&".join([b"a=1"] * 100),
    ],
)
def test_a_form_against_the_rules_is_refused(body: bytes) -> None:
    with pytest.raises(BadParams):
        form(body)


def test_a_query_field_given_twice_is_refused() -> None:
    pairs: list[tuple[str, Any]] = [("qty", "1"), ("qty", "1")]
    with pytest.raises(BadParams, match="twice"):
        from_pairs(pairs)
