"""S9: the API does what its own description says, on thousands of generated requests."""

import time
from collections import Counter
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.faults.gateway import Gateway

CASES = 2_000
SECONDS = 60
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ENDLESS = "/api/stream"  # an answer without end; tests/e2e/test_streams.py reads it


def test_thousands_of_generated_requests_find_no_500_and_no_other_answer_than_described(gateway: Gateway) -> None:
    schema = schemathesis.openapi.from_url(f"{gateway.url}/api/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    operations = [operation for operation in operations if operation.path != ENDLESS]
    assert len(operations) >= 20
    each = CASES // len(operations) + 1
    statuses: Counter[int] = Counter()
    started = time.monotonic()

    for operation in operations:

        @given(
            case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
            | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
        )
        @settings(
            max_examples=each,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def conforms(case: Case[Any]) -> None:
            response = case.call(headers=gateway.headers, timeout=10)
            statuses[response.status_code] += 1
            case.validate_response(response, checks=CHECKS)

        conforms()
    took = time.monotonic() - started
    print(f"{statuses.total()} cases on {len(operations)} operations in {took:.0f} s: {dict(sorted(statuses.items()))}")  # noqa: T201
    assert statuses.total() >= CASES
    assert statuses[500] == 0
    assert took <= SECONDS
