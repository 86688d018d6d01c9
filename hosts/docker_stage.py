"""The Docker engine of a host, as pyinfra operations."""

from __future__ import annotations

import io
import json
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from pyinfra import host
from pyinfra.api import FactBase
from pyinfra.facts.deb import DebPackages
from pyinfra.facts.server import Which
from pyinfra.operations import files, server, systemd

from hosts import docker_daemon
from hosts.docker_daemon import FILE, OURS, Merged
from hosts.facts.started import newer
from hosts.inventory import Member
from hosts.packages import installed
from hosts.places import STATE_DIR
from hosts.stages import Stage

_ENGINE: Final = "docker.io"
_SCRIPT: Final = Path(__file__).parent / "on_host" / "docker_daemon.sh"
_MARK: Final = "--- "


class Engine(NamedTuple):
    """Texts of the two files, and whether the engine runs since before its file was written."""

    have: str = ""
    ours: str = ""
    older: bool = False


class EngineFiles(FactBase[Engine]):
    def command(self) -> str:
        return (
            f"for f in {FILE} {OURS}; do echo '{_MARK}'$f; cat $f 2>/dev/null; echo; done; echo '{_MARK}older'; "
            f"[ -e {FILE} ] && {newer(FILE, 'docker.service')} && echo yes || true"
        )

    def process(self, output: list[str]) -> Engine:
        parts: dict[str, list[str]] = {}
        name = ""
        for line in output:
            if line.startswith(_MARK):
                name = line.removeprefix(_MARK)
                parts[name] = []
            else:
                parts[name].append(line)
        return Engine("\n".join(parts[FILE]), "\n".join(parts[OURS]), parts["older"] == ["yes"])

    @staticmethod
    def default() -> Engine:
        return Engine()


def stages(member: Member) -> tuple[Stage, ...]:
    return (
        Stage("packages of Docker", packages),
        Stage("Docker's command", command),
        Stage("Docker engine", partial(configure, member)),
    )


def packages() -> None:
    """The distribution's engine."""
    installed((_ENGINE, "iptables", "apparmor"), "packages of Docker")


def command() -> None:
    """Debian 13 has it in a package of its own, which the engine's only recommends."""
    if _ENGINE in host.get_fact(DebPackages) and not host.get_fact(Which, command="docker"):
        installed(("docker-cli",), "Docker's command")


def merged(member: Member, engine: Engine) -> Merged:
    """Raises Failure when what is there cannot be read."""
    have = docker_daemon.read(engine.have)
    return docker_daemon.merge(have, docker_daemon.read(engine.ours, OURS), docker_daemon.settings(member.spec))


def configure(member: Member) -> None:
    """The daemon is restarted only for another configuration; its containers go on meanwhile where live-restore was on before."""
    engine = host.get_fact(EngineFiles)
    wanted = merged(member, engine)
    if engine.older or docker_daemon.read(engine.have) != json.loads(wanted.text):
        files.directory(name=STATE_DIR, path=STATE_DIR, mode="700")
        new, script = f"{STATE_DIR}/daemon.json.new", f"{STATE_DIR}/docker_daemon.sh"
        files.put(name="daemon.json", src=io.StringIO(wanted.text), dest=new, mode="644")
        files.put(name="what installs it", src=str(_SCRIPT), dest=script, mode="700")
        server.shell(name="Docker restarted with it", commands=[f"sh {script} {new}"])
    ours = json.dumps(docker_daemon.settings(member.spec), indent=2) + "\n"
    files.put(name="what of it is ours", src=io.StringIO(ours), dest=OURS, mode="600")
    systemd.service(name="docker.service", service="docker.service", running=True, enabled=True)
