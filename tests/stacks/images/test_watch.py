"""The watch script under dash, with the real balancers: small configurations that answer a word over plain HTTP or TLS."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from stacks import watched as watched_folder
from stacks.balancer import TEMPLATES, Kind
from stacks.files import File
from stacks.programs import Program, find
from tests.stacks.backends import free_port

SCRIPT = Path(__file__).parents[3] / "stacks" / "images" / "watch.sh"
NGINX = """
daemon off; pid nginx.pid; error_log stderr warn; worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port}; listen 127.0.0.1:{tls} ssl;
        ssl_certificate tls.crt; ssl_certificate_key tls.key;
        location / {{ return 200 "{word}"; }}
    }}
}}
"""
HAPROXY = """
global
    default-path config
defaults
    mode http
    timeout client 5s
    timeout connect 5s
    timeout server 5s
frontend all
    bind 127.0.0.1:{port}
    bind 127.0.0.1:{tls} ssl crt tls.pem
    http-request return status 200 content-type text/plain string "{word}"
"""


def certificate(name: str) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    signed = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return signed.public_bytes(pem), private


class Watched:
    """The script with a balancer, and the folder that it watches."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.program = program
        self.config = folder / "config"
        self.scratch = folder / "scratch"
        self.said = folder / "said"
        self.port, self.tls = free_port(), free_port()
        self.config.mkdir(parents=True)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def file(self) -> Path:
        return self.config / TEMPLATES[self.program.kind]

    def write(self, word: str) -> None:
        template = NGINX if self.program.kind == "nginx" else HAPROXY
        self.file.write_text(template.format(port=self.port, tls=self.tls, word=word))

    def certify(self, name: str) -> None:
        cert, key = certificate(name)
        if self.program.kind == "nginx":
            (self.config / "tls.crt").write_bytes(cert)
            (self.config / "tls.key").write_bytes(key)
        else:
            (self.config / "tls.pem").write_bytes(cert + key)

    def start(self) -> subprocess.Popen[bytes]:
        directory = Path(self.program.path).parent
        with self.said.open("wb") as output:
            self.process = subprocess.Popen(
                ["dash", str(SCRIPT), self.program.kind, str(self.config), str(self.scratch)],
                env={**os.environ, "PATH": f"{directory}:{os.environ['PATH']}"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return self.process

    def word(self) -> str:
        """What a new connection is told; empty when there is none."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            with connection.makefile("rb") as answer:
                return answer.read().decode().rpartition("\r\n\r\n")[2]
        return ""

    def says(self, word: str) -> bool:
        return self.word() == word

    def certified(self) -> str:
        """The common name of the certificate that a new connection is shown."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", self.tls), timeout=2) as plain,
            context.wrap_socket(plain) as connection,
        ):
            shown = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")
            return str(shown.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
        return ""

    def balancer(self) -> int:
        """The process id of the balancer: the script's child that is no shell."""
        assert self.process is not None
        return next(pid for pid, name in children(self.process.pid) if name == self.program.kind)


def children(pid: int) -> list[tuple[int, str]]:
    pids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [(int(child), Path(f"/proc/{child}/comm").read_text().strip()) for child in pids]


def zombies(session: int) -> list[str]:
    """Processes of a session that have ended and that nobody has waited for."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            name, _, rest = path.read_text().rpartition(")")
            fields = rest.split()
            if int(fields[3]) == session and fields[0] == "Z":
                found.append(name)
    return found


def eventually(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@contextmanager
def watched(program: Program, folder: Path) -> Iterator[Watched]:
    """Running, on a good configuration that says `one`."""
    one = Watched(program, folder)
    one.certify("first")
    one.write("one")
    process = one.start()
    try:
        eventually(partial(one.says, "one"))
        yield one
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(autouse=True)
def nothing_ignored() -> Iterator[None]:
    """A shell cannot trap what was ignored when it started, as SIGQUIT is in the background of another shell."""
    before = signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGQUIT, before)


@pytest.fixture(params=["nginx", "haproxy"])
def program(request: pytest.FixtureRequest) -> Program:
    kind: Kind = request.param
    return find(kind)


@pytest.mark.parametrize("script", sorted(SCRIPT.parent.glob("*.sh")), ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script: Path) -> None:
    program = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run([program, "--shell", "sh", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_changed_configuration_is_read_anew_by_the_same_process(program: Program, tmp_path: Path) -> None:
    with watched(program, tmp_path) as one:
        before = one.balancer()
        one.write("two")
        eventually(partial(one.says, "two"))
        assert one.balancer() == before
        assert "has changed and is read anew" in one.said.read_text()


def test_a_configuration_that_fails_its_test_is_reported_once_and_never_applied(
    program: Program, tmp_path: Path
) -> None:
    with watched(program, tmp_path) as one:
        one.file.write_text("not a configuration\n")
        eventually(lambda: "fails the test above; what runs goes on" in one.said.read_text())
        time.sleep(2.5)
        assert one.said.read_text().count("fails the test above") == 1
        assert one.word() == "one"
        # What the balancer would read at its next start or reload is the good one still.
        os.kill(one.balancer(), program.reload_signal)
        time.sleep(1)
        assert one.word() == "one"
        one.write("three")
        eventually(partial(one.says, "three"))


def test_it_says_the_sum_of_what_runs_and_of_what_it_refuses(program: Program, tmp_path: Path) -> None:
    def here() -> str:
        return watched_folder.digest(
            File(str(path), path.read_text()) for path in one.config.iterdir() if path.is_file()
        )

    def last() -> watched_folder.Said | None:
        return watched_folder.last(one.said.read_text())

    with watched(program, tmp_path) as one:
        first = here()
        assert last() == ("runs", first)
        good = one.file.read_text()
        one.file.write_text("not a configuration\n")
        eventually(lambda: last() == ("refuses", here()))
        one.file.write_text(good)
        eventually(lambda: last() == ("runs", first))
        one.write("two")
        eventually(lambda: last() == ("runs", here()))
        assert here() != first


def test_a_new_certificate_is_shown_without_a_new_process(program: Program, tmp_path: Path) -> None:
    with watched(program, tmp_path) as one:
        before = one.balancer()
        assert one.certified() == "first"
        one.certify("second")
        eventually(lambda: one.certified() == "second")
        assert one.balancer() == before


def test_a_certificate_without_its_key_is_not_applied(program: Program, tmp_path: Path) -> None:
    with watched(program, tmp_path) as one:
        cert, _ = certificate("second")
        (one.config / ("tls.crt" if program.kind == "nginx" else "tls.pem")).write_bytes(cert)
        eventually(lambda: "fails the test above; what runs goes on" in one.said.read_text())
        assert one.certified() == "first"


def test_a_folder_that_keeps_changing_waits_until_it_is_still(program: Program, tmp_path: Path) -> None:
    with watched(program, tmp_path) as one:
        deadline = time.monotonic() + 3.5
        number = 0
        while time.monotonic() < deadline:
            number += 1
            one.write(f"word {number}")
            time.sleep(0.1)
            assert one.word() == "one"
        eventually(partial(one.says, f"word {number}"))
        assert one.said.read_text().count("is read anew") == 1


def test_files_behind_links_are_followed_as_kubernetes_swaps_them(program: Program, tmp_path: Path) -> None:
    """A projected volume: names are links through `..data`, a link that is replaced at once."""
    one = Watched(program, tmp_path)
    one.certify("first")
    one.write("one")
    first = one.config / "..1"
    first.mkdir()
    for path in [path for path in one.config.iterdir() if path.is_file()]:
        path.rename(first / path.name)
        path.symlink_to(f"..data/{path.name}")
    (one.config / "..data").symlink_to("..1")
    process = one.start()
    try:
        eventually(partial(one.says, "one"))
        shutil.copytree(first, one.config / "..2")
        changed = one.config / "..2" / one.file.name
        changed.write_text(changed.read_text().replace('"one"', '"two"'))
        (one.config / "..new").symlink_to("..2")
        (one.config / "..new").rename(one.config / "..data")
        eventually(partial(one.says, "two"))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_bad_configuration_at_the_start_ends_it_with_the_programs_words(program: Program, tmp_path: Path) -> None:
    one = Watched(program, tmp_path)
    one.file.write_text("nonsense;\n")
    assert one.start().wait(timeout=30) == 1
    said = one.said.read_text()
    assert "nonsense" in said
    assert said.endswith(f"watch: {one.file} fails the test above; nothing was started\n")


def test_a_missing_configuration_is_named(program: Program, tmp_path: Path) -> None:
    one = Watched(program, tmp_path)
    assert one.start().wait(timeout=30) == 1
    assert one.said.read_text() == f"watch: there is no {one.file}; put the balancer's configuration there\n"


# A signal to HAProxy's master right after its start was seen to be lost.
SETTLES = 0.5
STOPS = [
    ("nginx", signal.SIGTERM),
    ("nginx", signal.SIGQUIT),
    ("haproxy", signal.SIGTERM),
    ("haproxy", signal.SIGUSR1),
]


@pytest.mark.parametrize(("kind", "number"), STOPS)
def test_a_stop_signal_reaches_the_balancer_and_the_script_ends_as_it_does(
    kind: Kind, number: signal.Signals, tmp_path: Path
) -> None:
    with watched(find(kind), tmp_path / "by itself") as one:
        assert one.process is not None
        time.sleep(SETTLES)
        os.kill(one.balancer(), number)
        own = one.process.wait(timeout=20)
    with watched(find(kind), tmp_path / "through the script") as one:
        assert one.process is not None
        time.sleep(SETTLES)
        started = time.monotonic()
        one.process.send_signal(number)
        assert one.process.wait(timeout=20) == own
        assert time.monotonic() - started < 5
        assert one.word() == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_stop_signal_that_haproxy_loses_in_a_reload_is_repeated(number: signal.Signals, tmp_path: Path) -> None:
    for attempt in range(3):
        with watched(find("haproxy"), tmp_path / str(attempt)) as one:
            assert one.process is not None
            one.write("two")
            eventually(lambda: "is read anew" in one.said.read_text())
            one.process.send_signal(number)
            one.process.wait(timeout=15)


def test_nothing_is_reloaded_once_it_stops(tmp_path: Path) -> None:
    """nginx waits for a client that has begun to ask; a changed configuration must not wake it."""
    with watched(find("nginx"), tmp_path) as one, socket.create_connection(("127.0.0.1", one.port)) as slow:
        assert one.process is not None
        slow.sendall(b"GET / HTTP/1.1\r\n")
        time.sleep(0.5)
        one.process.send_signal(signal.SIGQUIT)
        one.write("two")
        time.sleep(3.5)
        assert one.process.poll() is None
        assert "is read anew" not in one.said.read_text()
        slow.sendall(b"Host: x\r\nConnection: close\r\n\r\n")
        assert b"one" in slow.recv(1000)
        one.process.wait(timeout=10)


def test_the_script_ends_at_once_when_the_balancer_is_killed(program: Program, tmp_path: Path) -> None:
    with watched(program, tmp_path) as one:
        assert one.process is not None
        os.kill(one.balancer(), signal.SIGKILL)
        assert one.process.wait(timeout=5) == 128 + signal.SIGKILL


def test_no_process_is_left_unwaited_for(program: Program, tmp_path: Path) -> None:
    with watched(program, tmp_path) as one:
        assert one.process is not None
        for word in ("two", "three"):
            one.write(word)
            eventually(partial(one.says, word))
        time.sleep(1)
        assert zombies(one.process.pid) == []


def test_copies_of_keys_are_readable_by_their_user_alone(program: Program, tmp_path: Path) -> None:
    with watched(program, tmp_path) as one:
        modes = {path.name: path.stat().st_mode & 0o077 for path in (one.scratch / "current").iterdir()}
        assert TEMPLATES[program.kind] in modes
        assert set(modes.values()) == {0}


def test_its_own_file_may_be_replaced_while_it_runs(program: Program, tmp_path: Path) -> None:
    """In the folder it is a part of what is watched."""
    with watched(program, tmp_path) as one:
        (one.config / SCRIPT.name).write_bytes(SCRIPT.read_bytes())
        eventually(lambda: "is read anew" in one.said.read_text())
        assert one.word() == "one"
