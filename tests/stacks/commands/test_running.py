"""A command's document and its exit status say the same."""

import json
from typing import Any

import pytest
import typer

from stacks.commands.failures import Failure, Interrupted
from stacks.commands.output import Output
from stacks.commands.running import run


@pytest.mark.parametrize(
    ("end", "ok", "status"),
    [({"a": 1}, True, 0), ({"ok": False}, False, 1), (Failure("no"), False, 1), (Interrupted("stopped"), False, 130)],
)
def test_what_a_machine_is_told(
    end: dict[str, Any] | Exception,
    ok: bool,  # noqa: FBT001 - what is expected
    status: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work(_output: Output) -> dict[str, Any]:
        if isinstance(end, Exception):
            raise end
        return end

    ended = 0
    try:
        run(machine=True, work=work)
    except typer.Exit as exit_:
        ended = exit_.exit_code
    assert (json.loads(capsys.readouterr().out)["ok"], ended) == (ok, status)
