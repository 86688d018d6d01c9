"""A command's document and its exit status say the same."""

import errno
import json
from typing import Any

import pytest
import typer

from stacks.commands import findings
from stacks.commands.failures import Failure, Interrupted
from stacks.commands.findings import Finding
from stacks.commands.output import Output
from stacks.commands.running import run


@pytest.mark.parametrize(
    ("end", "ok", "status"),
    [
        ({"a": 1}, True, 0),
        ({"ok": False}, False, 1),
        (Failure("no"), False, 1),
        (OSError(errno.EROFS, "Read-only file system", "/somewhere"), False, 1),
        (Interrupted("stopped"), False, 130),
    ],
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


def test_what_the_system_refuses_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    def work(_output: Output) -> dict[str, Any]:
        raise OSError(errno.ENOSPC, "No space left on device", "/somewhere/file")

    with pytest.raises(typer.Exit):
        run(machine=False, work=work)
    assert capsys.readouterr().err.startswith("veloz: /somewhere/file: No space left on device. ")


def test_what_was_found_is_told_with_the_refusal(capsys: pytest.CaptureFixture[str]) -> None:
    def work(output: Output) -> dict[str, Any]:
        findings.show([Finding("port", "free", "in use", "refused", "Stop it."), Finding("disk", "1", "2")], output)
        return {}

    with pytest.raises(typer.Exit):
        run(machine=True, work=work)
    told = json.loads(capsys.readouterr().out)
    assert [(one["what"], one["verdict"]) for one in told["findings"]] == [("port", "refused"), ("disk", "ok")]
