"""Pulumi is stopped in order, whatever stops the command: an interrupt, a termination, a terminal that is lost."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.stacks.commands.conftest import REPOSITORY

# In pulumi's place: an interrupt takes it a while to follow, and it goes on to say how far it is.
SLOW = """#!/bin/sh
stopping() {{
    trap 'echo killed >>{log}; exit 2' INT
    echo interrupted >>{log}
    for _ in 1 2 3 4 5; do sleep 0.2; echo '{{}}'; done
    echo ended in order >>{log}
    exit 1
}}
trap 'ended=1' INT
echo begun >>{log}
while [ -z "$ended" ]; do sleep 0.05; echo '{{}}'; done
stopping
"""
STREAMING = """
import sys
from pathlib import Path
from stacks.commands.failures import Interrupted
from stacks.commands.output import Output
from stacks.commands.project import read
from stacks.commands.pulumi_cli import Pulumi
output = Output()
try:
    Pulumi(Path(sys.argv[1]), read(Path(sys.argv[2])), {}).stream(["up"], lambda _: output.say("further"))
except Interrupted:
    sys.exit(130)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "bin" / "pulumi"
    path.parent.mkdir()
    path.write_text(SLOW.format(log=tmp_path / "log"))
    path.chmod(0o755)
    (tmp_path / "Pulumi.yaml").write_text("name: veloz\nruntime: python\n")
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_it_began_is_finished(program: Path, tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", STREAMING, str(program), str(tmp_path)]
    assert _stopped(command, tmp_path, number) == 130


def test_so_it_is_when_it_has_the_terminal_to_itself(program: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    command = [sys.executable, "-m", "stacks", "pulumi", "--project", str(tmp_path), "--", "up"]
    assert _stopped(command, tmp_path, signal.SIGINT, PATH=f"{program.parent}:{os.environ['PATH']}") == 130


def _stopped(command: list[str], place: Path, number: signal.Signals, **environ: str) -> int:
    """The status that it ends with after the whole group got the signal on a terminal, which is closed for SIGHUP."""
    ours, theirs = pty.openpty()
    log = place / "log"
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=os.environ | environ, stdin=theirs, stdout=theirs, stderr=theirs, process_group=0
    ) as process:
        os.close(theirs)
        _await(log, "begun")
        os.killpg(process.pid, number)
        if number == signal.SIGHUP:
            os.close(ours)
            _await(log, "interrupted")
            os.killpg(process.pid, number)  # the shell tells of it too
        code = process.wait(timeout=20)
    if number != signal.SIGHUP:
        os.close(ours)
    assert log.read_text().splitlines() == ["begun", "interrupted", "ended in order"]
    return code


def _await(log: Path, text: str) -> None:
    deadline = time.monotonic() + 30
    while not (log.exists() and text in log.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
