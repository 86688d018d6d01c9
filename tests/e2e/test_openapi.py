"""The API does what its own description says, on thousands of generated requests."""

import time
from collections import Counter
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.e2e.api import Api
from tests.faults.gateway import Gateway

CASES = 2_000
CASES_OF_ONE = 72  # an operation without parameters has only a few
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ENDLESS = "/api/stream"  # an answer without end; tests/e2e/test_streams.py reads it
DISTURBING = ("/api/admin/", "/api/cancel_all")  # kill switches, limits: what comes after them would only be refused

PUBLIC = {"/health", "/health/live", "/health/ready", "/metrics", "/api/openapi.json"}
CREDENTIALS = frozenset({"Authorization", "X-API-Key"})

Operation = APIOperation[Any, Any, Any, Any]


@pytest.mark.timeout(300)
def test_thousands_of_generated_requests_find_no_500_and_no_other_answer_than_described(gateway: Gateway) -> None:
    schema = schemathesis.openapi.from_url(f"{gateway.url}/api/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    operations = [operation for operation in operations if operation.path != ENDLESS]
    assert len(operations) >= 20
    statuses: Counter[int] = Counter()
    started = time.monotonic()
    with requests.Session() as session:
        session.headers.update(gateway.headers)
        for operation in sorted(operations, key=lambda one: one.path.startswith(DISTURBING)):
            _conforms(operation, session, statuses)
    took = time.monotonic() - started
    print(f"{statuses.total()} cases on {len(operations)} operations in {took:.0f} s: {dict(sorted(statuses.items()))}")  # noqa: T201
    assert statuses.total() >= CASES
    assert statuses[500] == 0
    assert min(statuses[200], statuses[400]) > CASES / 10, "too few requests were understood, or too few refused"


def _conforms(operation: Operation, session: requests.Session, statuses: Counter[int]) -> None:
    """Valid and invalid requests of one operation, each answer held against the description."""
    valid, invalid = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

    @given(case=valid | invalid)
    @settings(
        max_examples=CASES_OF_ONE,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def conforms(case: Case[Any]) -> None:
        for name in CREDENTIALS & set(case.headers):  # one made up would be a second credential beside the good one
            del case.headers[name]
        case.cookies.clear()
        response = case.call(session=session, timeout=10)
        statuses[response.status_code] += 1
        case.validate_response(response, checks=CHECKS)

    conforms()


async def test_without_a_credential_only_health_metrics_and_the_description_are_answered(gateway: Gateway) -> None:
    async with Api(gateway, "") as nobody:
        paths = (await nobody.get("/api/openapi.json")).json["paths"]
        answered = set()
        for path, methods in paths.items():
            for method in methods:
                answer = await nobody.ask(method.upper(), path, json={} if method != "get" else None)
                if answer.status != 401:
                    answered.add(path)
                    assert method == "get" or answer.status == 400, f"{method} {path}: {answer.text}"
    assert answered == PUBLIC | {"/api/auth/login"}
