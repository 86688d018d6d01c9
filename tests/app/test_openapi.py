"""The OpenAPI document says what the table of operations says."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec

from app.openapi import build
from app.routes import OPERATIONS

DOCUMENT = json.loads(json.dumps(build(OPERATIONS)))


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_operation_is_described_once() -> None:
    described = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert described == {(op.method, op.path) for op in OPERATIONS}
    ids = [op["operationId"] for methods in DOCUMENT["paths"].values() for op in methods.values()]
    assert len(ids) == len(set(ids))


def test_every_reference_leads_somewhere() -> None:
    found = set(references(DOCUMENT))
    assert found
    assert all(ref.rsplit("/", 1)[-1] in DOCUMENT["components"]["schemas"] for ref in found)


def test_every_promised_endpoint_is_there() -> None:
    promised = {
        "/health", "/health/live", "/health/ready", "/metrics", "/api/config", "/api/market", "/api/markets",
        "/api/orders", "/api/orders_state", "/api/order_state", "/api/trades", "/api/account", "/api/positions",
        "/api/execution/ping", "/api/stream", "/api/openapi.json", "/api/order", "/api/order/amend", "/api/cancel",
        "/api/cancel_all", "/api/auth/session", "/api/auth/login", "/api/auth/keys", "/api/admin/accounts",
        "/api/admin/limits", "/api/admin/kill_switch", "/api/admin/config", "/api/admin/config/history",
    }  # fmt: skip
    assert promised <= set(DOCUMENT["paths"])


def test_every_operation_that_needs_a_credential_can_be_refused_for_want_of_it() -> None:
    for op in OPERATIONS:
        described = DOCUMENT["paths"][op.path][op.method.lower()]
        if op.role is not None:
            assert described["security"]
            assert {"401", "403", "429", "503"} <= set(described["responses"])
        assert "500" not in described["responses"]


def test_bodies_and_queries_refuse_unknown_fields() -> None:
    for op in OPERATIONS:
        for kind in (op.query, op.body):
            if kind is not None:
                assert issubclass(kind, msgspec.Struct)
                assert kind.__struct_config__.forbid_unknown_fields, kind


def test_parameters_have_no_reference_and_no_null() -> None:
    for methods in DOCUMENT["paths"].values():
        for op in methods.values():
            text = json.dumps(op.get("parameters", []))
            assert "$ref" not in text
            assert "null" not in text
