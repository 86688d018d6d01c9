"""`python -m hosts …` as a person runs it, and one that is killed in the middle."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection
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
import io, json, os, re, subprocess, sys
from hosts import inventory, provisioning, session
from stacks.commands.failures import Failure
from stacks.commands.output import Output

past, long, every, seconds, then = json.loads(sys.argv[1])
then = then or f"kill -9 {os.getpid()}"
fresh, there = 0, False

def start(self, state, key):
    global fresh, there
    name = next(iter(state.op_meta[key].names), "")
    if there:  # so that the host is no further on than this
        subprocess.run(["sh", "-c", then])
    print(name, flush=True)
    if name in past:
        return
    fresh += 1
    if fresh == every or re.fullmatch(long, name):
        there = True
        subprocess.Popen(["sh", "-c", f"sleep {seconds}; {then}"]) if seconds else subprocess.run(["sh", "-c", then])

provisioning._prepare, session._Teller.operation_start = lambda *_, **more: [], start
output = Output(machine=True)
output.console.file = io.StringIO()
try:
    provisioning.provision(inventory.members(os.environ["HOST"], os.environ["SSH_KEY"]), output)
    print("")
except Failure as error:
    print(error, file=sys.stderr)
    sys.exit(4 if there else 3)
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


def cut_off(
    host: BareHost, past: Collection[str], long: str, *, every: int = 1, seconds: float = 0, then: str = ""
) -> list[str]:
    """`provision` without tuning and firewall, killed (-9) before an operation, or so many seconds after that began.

    At the latest before the next one. It is the `every`-th that is not in `past`, or one before that whose name is `long`, a
    pattern: numbers change, for what is done may be no operation any more. `then`: a shell command in place of the kill, after
    which it may end as it likes. Names of the operations up to it; an empty one is the last when there was none such.
    """
    told = json.dumps([list(past), long, every, seconds, then])
    done = subprocess.run(
        [sys.executable, "-c", _CUT_OFF, told],
        check=False, capture_output=True, text=True, env=host.environ(), timeout=900,
    )  # fmt: skip
    assert done.returncode in ((0, 4) if then else (0, -9)), f"{done.stdout}{done.stderr}"
    return done.stdout.removesuffix("\n").split("\n")
