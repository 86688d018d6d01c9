"""Runs the testinfra suite against a host over one SSH connection, and gives the rows that its tests wrote."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from hosts.session import CONNECT_SECONDS, KNOWN_HOSTS
from hosts.verification.subject import PLACE, PLAN, ROWS
from stacks.commands.failures import Failure
from stacks.machines import Machine
from tuning.plan import Plan
from tuning.verdict import Row

_SUITE: Final = Path(__file__).with_name("verification")
_LIMIT_SECONDS: Final = 600
_PASSED_OR_FAILED: Final = (0, 1)  # pytest's: all tests passed; some did not


def rows(machine: Machine, plan: Plan) -> tuple[Row, ...]:
    """One for every value of the plan. Raises Failure when they cannot be read."""
    with TemporaryDirectory(prefix="veloz-") as name, _connection(machine, Path(name)) as config:
        place = Path(name)
        (place / PLAN).write_bytes(msgspec.json.encode(plan))
        address = f"[{machine.address}]" if ":" in machine.address else machine.address
        command = [
            sys.executable, "-m", "pytest", "-p", "testinfra.plugin",
            "-c", str(_SUITE / "pytest.ini"), "--rootdir", str(_SUITE), str(_SUITE),
            f"--hosts=ssh://{machine.user}@{address}:{machine.port}?controlpersist=0", f"--ssh-config={config}",
            *(["--sudo"] if machine.user != "root" else []),
        ]  # fmt: skip
        environ = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
        # Plugins that happen to be installed take seconds to be loaded, and have no part in this.
        done = _run(command, {**environ, PLACE: name, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
        written = place / ROWS
        if done.returncode not in _PASSED_OR_FAILED or not written.exists():
            raise Failure(f"{machine.address}: the verification did not run: {_last(done)}")
        found = msgspec.json.decode(written.read_bytes(), type=tuple[Row, ...])
    if len(found) != (wanted := len(plan.settings) + len(plan.files) + 1):  # the clock
        raise Failure(f"{machine.address}: the verification read {len(found)} of {wanted} values: {_last(done)}")
    return found


@contextmanager
def _connection(machine: Machine, place: Path) -> Iterator[Path]:
    """One that all tests share. Yields the file of settings that leads to it."""
    config = place / "ssh"
    config.write_text(ssh_config(machine, place / "s", os.environ.get(KNOWN_HOSTS, "")))
    to = ["-F", str(config), "-p", str(machine.port), f"{machine.user}@{machine.address}"]
    said = place / "said"
    # It goes on in the background with what it was given as output, so it gets none.
    opened = _run(["ssh", "-M", "-N", "-f", "-E", str(said), *to], dict(os.environ), subprocess.DEVNULL)
    if opened.returncode:
        why = said.read_text(encoding="utf-8").strip().splitlines() if said.exists() else []
        raise Failure(
            f"{machine.user}@{machine.address}:{machine.port} cannot be reached by `ssh`: {' / '.join(why[-2:])}; "
            "look at the address, the key (SSH_KEY) and the known hosts"
        )
    try:
        yield config
    finally:
        _run(["ssh", "-O", "exit", *to], dict(os.environ))


def ssh_config(machine: Machine, control: Path, known_hosts: str) -> str:
    """Settings of OpenSSH: nothing is asked, a changed host key is refused."""
    lines = ["BatchMode yes", "StrictHostKeyChecking accept-new", f"ConnectTimeout {CONNECT_SECONDS}",
             f"ControlPath {control}", "LogLevel ERROR"]  # fmt: skip
    if machine.key:
        lines += [f"IdentityFile {_quoted(machine.key)}", "IdentitiesOnly yes"]
    if known_hosts:
        lines.append(f"UserKnownHostsFile {_quoted(known_hosts)}")
    # What the user's own file says of the host counts for all other commands too; of two values the first does.
    return "Host *\n" + "".join(f"  {line}\n" for line in (*lines, "Include ~/.ssh/config"))


def _quoted(path: str) -> str:
    return f'"{path}"'


def _run(command: list[str], environ: dict[str, str], out: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """Raises Failure when it takes too long or there is no such command."""
    try:
        return subprocess.run(command, check=False, text=True, timeout=_LIMIT_SECONDS, env=environ,
                              stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)  # fmt: skip
    except FileNotFoundError:
        raise Failure(f"there is no command {command[0]} here; install it (apt install openssh-client)") from None
    except subprocess.TimeoutExpired:
        raise Failure(f"{shlex.join(command[:3])} … did not end within {_LIMIT_SECONDS} s") from None


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in (done.stdout or "").splitlines() if line.strip()]
    return " / ".join(lines[-3:]) or f"it ended with {done.returncode}"
