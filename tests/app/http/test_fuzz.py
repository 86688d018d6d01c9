"""The interface against its own OpenAPI document: every boundary of every field, and what breaks it.

tests/e2e/test_openapi.py has the random cases.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from tests.app.http.conftest import Gateway, MakeGateway

# A refusal of a request that is valid by the schema alone is no fault: funds, limits and other orders decide too.
# The stream never ends; test_stream.py has it.
OPTIONS = (
    "--exclude-checks=positive_data_acceptance,ignored_auth",
    "--exclude-path=/api/stream",
    "--phases=coverage",
    "--request-timeout=10",
    "--continue-on-failure",
    "--warnings=off",
    "--seed=20261123",
    "--workers=2",
)


async def test_no_answer_of_500_and_none_against_the_schema_in_1500_cases(
    make_gateway: MakeGateway, tmp_path: Path
) -> None:
    limits = {"RATE_LIMIT_KEY": "0", "RATE_LIMIT_ADDRESS": "0", "RATE_LIMIT_LOGIN": "0"}
    async with make_gateway(ADMIN_PASSWORD="correct horse battery", **limits) as gateway:
        report = await schemathesis(gateway, tmp_path)
        errors = gateway.services.metrics.internal_errors._value.get()
        assert (await gateway.get("/health")).status == 200
    assert "No issues found" in report, report
    assert errors == 0
    generated = re.search(r"(\d+) generated", report)
    assert generated is not None
    assert int(generated.group(1)) >= 1500


async def schemathesis(gateway: Gateway, folder: Path) -> str:
    """Its report. Exit status and failures are in it."""
    program = Path(sys.executable).with_name("schemathesis")
    process = await asyncio.create_subprocess_exec(
        program,
        "run",
        f"{gateway.base}/api/openapi.json",
        f"--header=X-API-Key: {gateway.key}",
        *OPTIONS,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(110):
        output, _ = await process.communicate()
    return output.decode()
