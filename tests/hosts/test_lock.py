"""One command at a time on a host, and none that waits for one that died."""

import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest
from pyinfra.api.exceptions import PyinfraError

from hosts import lock


class Client:
    """Of SSH, but the host is this machine."""

    def __init__(self, port: int = 1) -> None:
        self.shells: list[subprocess.Popen[str]] = []
        self.connection = f"192.0.2.9 {port} 192.0.2.7 22"

    def exec_command(self, command: str, **_more: object) -> tuple[IO[str], IO[str], None]:
        environ = {"PATH": "/usr/bin:/bin", "SSH_CONNECTION": self.connection}
        shell = subprocess.Popen(
            ["sh", "-c", command], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ
        )
        self.shells.append(shell)
        assert shell.stdin
        assert shell.stdout
        return shell.stdin, shell.stdout, None

    def close(self) -> None:
        for shell in self.shells:
            shell.communicate(timeout=10)


def host(client: Client) -> Any:  # noqa: ANN401 - as much of pyinfra's as is needed
    return SimpleNamespace(connector=SimpleNamespace(client=client), data={})


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(lock, "RUN_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(lock, "_FILE", str(tmp_path / "state" / "lock"))
    return tmp_path / "state"


def test_the_second_is_told_who_is_at_work(place: Path) -> None:
    first, second, third = Client(), Client(), Client()
    lock.take(host(first))
    assert place.stat().st_mode & 0o777 == 0o700
    with pytest.raises(PyinfraError, match=r"another command from 192\.0\.2\.9 is at work"):
        lock.take(host(second))
    first.close()
    lock.take(host(third))
    second.close()
    third.close()


def test_a_connection_that_dies_gives_the_lock_back() -> None:
    first, second = Client(), Client()
    lock.take(host(first))
    first.close()
    lock.take(host(second))
    second.close()


def test_a_connection_that_is_just_being_closed_is_waited_for() -> None:
    first, second = Client(), Client()
    lock.take(host(first))
    closing = threading.Timer(0.3, first.close)
    closing.start()
    lock.take(host(second))
    closing.join()
    second.close()


def test_other_connections_than_ssh_have_no_lock() -> None:
    lock.take(SimpleNamespace(connector=SimpleNamespace(), data={}))  # type: ignore[arg-type]


def left_at_work(client: Client, seconds: float) -> subprocess.Popen[bytes]:
    """What a connection started, as sshd leaves it when that is cut off."""
    return subprocess.Popen(["sleep", str(seconds)], env={"PATH": "/usr/bin:/bin", "SSH_CONNECTION": client.connection})


def test_what_a_connection_that_was_cut_off_left_at_work_is_waited_for() -> None:
    first, second = Client(1), Client(2)
    lock.take(host(first))
    with left_at_work(first, 1.5) as left:
        first.close()
        lock.take(host(second))
        assert left.poll() == 0
    second.close()


def test_what_never_ends_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_LEFT_SECONDS", 1)
    first, second = Client(1), Client(2)
    lock.take(host(first))
    with left_at_work(first, 60) as left:
        first.close()
        with pytest.raises(PyinfraError, match=rf"cut off is still at work.*ps -fp {left.pid};"):
            lock.take(host(second))
        left.kill()
    second.close()
