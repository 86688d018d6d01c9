"""Bare hosts of a test: made by the command that VELOZ_E2E_HOST names, taken away at the end, also of a failed test.

The command is `COMMAND up NAME [docker options]` that prints "NAME ADDRESS KEYFILE", and `ssh NAME …`, `reboot NAME`,
`down NAME`: a Debian with systemd and sshd, user root, and a network namespace of its own.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pytest

from hosts.session import KNOWN_HOSTS, Session
from stacks.machines import Machine

COMMAND = "VELOZ_E2E_HOST"


class BareHost(NamedTuple):
    name: str
    address: str
    key: str
    known_hosts: Path
    user: str = "root"

    @property
    def machine(self) -> Machine:
        return Machine(address=self.address, user=self.user, key=self.key)

    @property
    def session(self) -> Session:
        return Session(self.machine)

    def ssh(self, command: str, *, check: bool = True, stdin: str = "") -> str:
        """Standard output of a shell command there, of root's."""
        done = subprocess.run(
            [*_tool(), "ssh", self.name, command], check=False, capture_output=True, text=True, input=stdin
        )
        if check and done.returncode:
            raise AssertionError(f"{self.name}: {command!r} ended with {done.returncode}: {done.stderr}{done.stdout}")
        return done.stdout

    def reboot(self) -> None:
        """Systemd starts anew; files stay, the network namespace is a new one. The address may change, so keep none."""
        subprocess.run([*_tool(), "reboot", self.name], check=True, capture_output=True, timeout=60)

    def environ(self) -> dict[str, str]:
        """Of a command that is to find this host."""
        named = f"{self.user}@{self.address}"
        return {**os.environ, "HOST": named, "SSH_KEY": self.key, KNOWN_HOSTS: str(self.known_hosts)}


Making: TypeAlias = Callable[..., BareHost]


def _tool() -> list[str]:
    return shlex.split(os.environ.get(COMMAND, ""))


def missing() -> str:
    """Why no host can be made here; empty when it can."""
    if os.environ.get("VELOZ_E2E") != "1":
        return "real hosts are made by `make e2e` (VELOZ_E2E=1)"
    return "" if _tool() else f"{COMMAND} names no command that makes bare hosts"


@pytest.fixture(scope="module")
def bare_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Making]:
    """`bare_host(name, *docker_options)`: as many as a file's tests ask for."""
    if why := missing():
        pytest.skip(why)
    known = tmp_path_factory.mktemp("ssh") / "known_hosts"
    known.touch()
    made: list[str] = []

    def make(name: str, *options: str) -> BareHost:
        subprocess.run([*_tool(), "down", name], check=False, capture_output=True)
        made.append(name)
        done = subprocess.run(
            [*_tool(), "up", name, *options], check=False, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{shlex.join(_tool())} up {name}: {done.stderr}"
        _, address, key = done.stdout.split()[-3:]
        return BareHost(name, address, key, known)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KNOWN_HOSTS, str(known))
        try:
            yield make
        finally:
            for name in made:
                subprocess.run([*_tool(), "down", name], check=False, capture_output=True)
