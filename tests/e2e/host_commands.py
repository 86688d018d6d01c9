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

# Of the install, without tuning and firewall before. It names the operation first; killed by another, it cannot help it.
_CUT_OFF: Final = """
import io, os, re, subprocess, sys
from hosts import inventory, provisioning, session
from stacks.commands.output import Output

at, seconds, then = sys.argv[1], float(sys.argv[2]), sys.argv[3] or f"kill -9 {os.getpid()}"
seen, there = 0, False

def start(self, state, key):
    global seen, there
    name = next(iter(state.op_meta[key].names), "")
    if there:  # so that the host is no further on than this
        subprocess.run(["sh", "-c", then])
    elif str(seen) == at or re.fullmatch(at, name):
        there = True
        print(seen, name, flush=True)
        subprocess.Popen(["sh", "-c", f"sleep {seconds}; {then}"]) if seconds else subprocess.run(["sh", "-c", then])
    seen += 1

provisioning._prepare, session._Teller.operation_start = lambda *_, **more: [], start
output = Output(machine=True)
output.console.file = io.StringIO()
provisioning.provision(inventory.members(os.environ["HOST"], os.environ["SSH_KEY"]), output)
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


def cut_off(host: BareHost, at: int | str, seconds: float = 0, then: str = "") -> tuple[int, str]:
    """`provision` without tuning and firewall, killed (-9) before operation `at`, or so many seconds after that began.

    At the latest before the next one. `at`: its number, from 0, or a pattern of its name. `then`: a shell command in place of the
    kill, after which it may end as it likes. The operation's number and name; (-1, "") when there is none such.
    """
    done = subprocess.run(
        [sys.executable, "-c", _CUT_OFF, str(at), str(seconds), then],
        check=False, capture_output=True, text=True, env=host.environ(), timeout=900,
    )  # fmt: skip
    ended = done.stderr.strip().rpartition("\n")[2]
    assert done.returncode in (0, -9) or (then and ended.startswith("stacks.commands.failures.Failure: ")), done.stderr
    number, _, name = done.stdout.strip().partition(" ")
    return int(number or -1), name
