"""`python -m hosts …` as a person runs it, and one that is killed in the middle."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Final, NamedTuple

from tests.e2e.bare_host import BareHost

# The killing comes from outside: the command itself has no switch for it.
_KILLED: Final = """
import os, signal, sys
from hosts import inventory, tuning_stage
from hosts.session import Session

at, stage = int(sys.argv[1]), getattr(tuning_stage, sys.argv[2])
[member] = inventory.members(os.environ["HOST"], os.environ["SSH_KEY"])
seen = 0

def told(name):
    global seen
    if seen == at:
        os.kill(os.getpid(), signal.SIGKILL)
    seen += 1

Session(member.machine, told).run(stage, member)
print(seen)
"""


class Done(NamedTuple):
    status: int
    document: dict[str, Any]
    words: str

    @property
    def host(self) -> dict[str, Any]:
        """The part about the one host."""
        [one] = self.document["hosts"]
        assert isinstance(one, dict)
        return one


def hosts(host: BareHost, command: str, *more: str, seconds: float = 300) -> Done:
    """`more`: options, e.g. --dry-run."""
    done = subprocess.run(
        [sys.executable, "-m", "hosts", command, "--json", *more],
        check=False, capture_output=True, text=True, env=host.environ(), timeout=seconds,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return Done(done.returncode, json.loads(done.stdout), done.stderr)


def killed(host: BareHost, at: int, stage: str = "apply") -> bool:
    """The stage, its process killed (-9) before operation `at`; False when there are fewer operations."""
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(at), stage],
        check=False, capture_output=True, text=True, env=host.environ(), timeout=300,
    )  # fmt: skip
    assert done.returncode in (0, -9), done.stderr
    return done.returncode == -9
