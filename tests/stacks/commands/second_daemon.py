"""A Docker daemon of a test's own on 127.0.0.1, for those who have a certificate. It networks nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stacks.commands import docker_facts
from stacks.commands.certificates import generate
from stacks.document import load
from stacks.spec import Deployment
from tests.stacks.backends import free_port
from tests.stacks.commands.namespace_relay import relayed

_PROGRAM = "dockerd"
# Before 25 a daemon is known by a key in /etc/docker, which it would share with the first one.
# And one without a bridge deletes the first one's, where it sees it.
_ALONE = 'ip link set lo up && mkdir -p /etc/docker && mount -t tmpfs none /etc/docker && exec "$@"'
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0


class Daemon(NamedTuple):
    """`certificates`: a client's, and the authority of the daemon's."""

    host: str
    certificates: Path
    log: Path

    @property
    def spec(self) -> Deployment:
        return load({"topology": "single", "docker": {"host": self.host}})

    @property
    def environ(self) -> dict[str, str]:
        return {"DOCKER_HOST": self.host, "DOCKER_CERT_PATH": str(self.certificates), "DOCKER_TLS_VERIFY": "1"}

    def holds(self) -> set[str]:
        """Names of all its containers, volumes and networks."""
        with docker_facts.daemon(self.spec, self.environ) as client:
            every: list[Any] = [client.containers.list(all=True), client.volumes.list(), client.networks.list()]
            return {str(one.name) for kind in every for one in kind}


def missing() -> str:
    """Why there can be none; empty when there can."""
    if not shutil.which(_PROGRAM):
        return f"{_PROGRAM} is not installed"
    return "" if os.geteuid() == 0 else f"{_PROGRAM} wants root"


@contextmanager
def started(folder: Path) -> Iterator[Daemon]:
    """One that answers; ended by its number."""
    port, client = free_port(), folder / "client"
    client.mkdir()
    served = generate("daemon", ["127.0.0.1"])
    _client_certificate(client)
    (client / "ca.pem").write_text(served.authority)
    (folder / "server.pem").write_text(served.certificate)
    (folder / "server.key").write_text(served.key)
    command = [
        "unshare", "--mount", "--net", "sh", "-c", _ALONE, "sh",
        _PROGRAM, f"--host=tcp://127.0.0.1:{port}", f"--data-root={folder / 'data'}", f"--exec-root={folder / 'run'}",
        f"--pidfile={folder / 'pid'}", f"--config-file={folder / 'none.json'}", "--bridge=none", "--iptables=false",
        "--ip-forward=false", "--storage-driver=vfs", "--tlsverify", f"--tlscacert={client / 'cert.pem'}",
        f"--tlscert={folder / 'server.pem'}", f"--tlskey={folder / 'server.key'}",
    ]  # fmt: skip
    daemon = Daemon(f"tcp://127.0.0.1:{port}", client, folder / "log")
    (folder / "none.json").write_text("{}")
    with (
        daemon.log.open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
        relayed(port, process.pid),
    ):
        try:
            _await(daemon, process)
            yield daemon
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _await(daemon: Daemon, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while away := docker_facts.read(daemon.spec, daemon.environ).away:
        assert process.poll() is None, daemon.log.read_text()[-2000:]
        assert time.monotonic() < deadline, f"{away}\n{daemon.log.read_text()[-2000:]}"
        time.sleep(0.1)


def _client_certificate(folder: Path) -> None:
    """One that vouches for itself: the deployment's own are for servers."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "client")])
    start = datetime.now(UTC) - timedelta(minutes=5)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
