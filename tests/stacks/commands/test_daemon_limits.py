"""How many open files a daemon may give is read from its process."""

from __future__ import annotations

import resource
import socket
from pathlib import Path

import pytest

from stacks.commands import daemon_limits

WHOLE = "         0          0 4294967295\n"
ROOTLESS = "         0       1000          1\n         1     100000      65536\n"
ALL = "000001ffffffffff"
USUAL_IN_A_CONTAINER = "00000000a80425fb"


def process(folder: Path, *, capabilities: str, users: str, hard: str) -> Path:
    (folder / "status").write_text(f"Name:\tdockerd\nCapPrm:\t{ALL}\nCapEff:\t{capabilities}\n")
    (folder / "uid_map").write_text(users)
    (folder / "limits").write_text(
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        f"Max open files            1024                 {hard:<21}files     \n"
    )
    return folder


@pytest.mark.parametrize(
    ("capabilities", "users", "hard", "most"),
    [
        (USUAL_IN_A_CONTAINER, WHOLE, "20000", 20_000),
        (USUAL_IN_A_CONTAINER, WHOLE, "unlimited", 1_048_576),
        # It may raise its own limit, whatever that is.
        (ALL, WHOLE, "20000", 1_048_576),
        # Its capabilities are none on the machine.
        (ALL, ROOTLESS, "20000", 20_000),
    ],
)
def test_it_is_the_hard_limit_unless_the_daemon_may_raise_it(
    tmp_path: Path, capabilities: str, users: str, hard: str, most: int
) -> None:
    assert (
        daemon_limits.allowed(process(tmp_path, capabilities=capabilities, users=users, hard=hard), 1_048_576) == most
    )


def test_a_real_process_has_one() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert daemon_limits.allowed(Path("/proc/self"), 1_048_576) in {hard, 1_048_576}


@pytest.mark.parametrize("name", ["dockerd", "systemd"])
def test_the_daemon_is_who_listens_if_that_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = tmp_path / "docker.sock"
    seen: list[int] = []

    def named(pid: int) -> str:
        seen.append(pid)
        return name

    monkeypatch.setattr(daemon_limits, "_name", named)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        found = daemon_limits.open_files(f"unix://{path}")
    assert (found is not None) == (name == "dockerd")
    assert (len(seen) == 1) == (name == "dockerd")
