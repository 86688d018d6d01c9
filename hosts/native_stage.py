"""The native install as pyinfra operations, a stage a function; each reads the host first and does what is missing.

Stages run one after another, for a stage's facts are read before its first operation.
"""

from __future__ import annotations

import io
import shlex
from collections.abc import Mapping
from pathlib import Path

from pyinfra import host
from pyinfra.api.operation import OperationMeta
from pyinfra.operations import files, server, systemd

from hosts import native, operations, places, units
from hosts.bundle import Bundle
from hosts.inventory import Member
from hosts.native_facts import (
    BalancerState,
    Certificate,
    CertificateState,
    Deployed,
    EnabledUnits,
    NeedsReload,
    Older,
    PostgresState,
    Releases,
    RunningGateways,
    Secrets,
    Units,
    Version,
)
from hosts.packages import installed
from hosts.provided import Provided
from stacks import edge, names
from stacks.commands import certificates
from stacks.commands.failures import Failure
from stacks.spec import Deployment

_ON_HOST = Path(__file__).parent / "on_host"
_SECRET = f"{places.USER}:{places.USER} 400 64"
_MAKE_SECRET = "hosts/on_host/make_secret.sh"  # noqa: S105 - a program's name


def packages(member: Member) -> None:
    """The distribution's, none that is only recommended."""
    # Its own instance would take our ports. One that was there before is the administrator's and stays as it is.
    unit = f"{edge.kind(member.spec)}.service"
    if not host.get_fact(Units, pattern=unit):
        server.shell(name=f"{unit} is not to start", commands=[f"systemctl mask --quiet {unit}"])
    wanted = ("postgresql", "redis-server", edge.kind(member.spec), "python3-venv", "g++", "make", "openssl")
    installed(wanted, "packages of the system itself")


def users(member: Member) -> None:
    """Who the programs run as, where things are, and whose."""
    for user in (places.USER, places.BALANCER_USER):
        server.user(  # noqa: S604 - a log-in shell
            name=f"user {user}",
            user=user,
            system=True,
            home="/nonexistent",
            shell="/usr/sbin/nologin",
            ensure_home=False,
        )
    for path in (places.CONFIG, places.BALANCER, places.PROGRAM, places.RELEASES):
        files.directory(name=path, path=path, user="root", group="root", mode="755")
    whose(member)
    files.directory(name=places.UPLOADS, path=places.UPLOADS, user="root", group="root", mode="700")


def whose(member: Member) -> None:
    """On the disk itself: without it the database that is made next would be taken for somebody else's."""
    have = f"{host.get_fact(Deployed)}\n"
    operations.file_kept(name=places.DEPLOYMENT, path=places.DEPLOYMENT, text=f"{member.spec.name}\n", have=have)


def stores(member: Member) -> None:
    """PostgreSQL and Redis of the distribution, reached by sockets alone. What changes nothing restarts nothing."""
    spec = member.spec
    state = host.get_fact(PostgresState)
    if not state.cluster:
        raise Failure(
            f"{member.machine.address}: no PostgreSQL cluster at the usual port; pg_lsclusters shows which there are: make one, "
            "or give it that port"
        )
    path = f"/etc/postgresql/{state.cluster}/conf.d/veloz.conf"
    written = _file(path, native.postgres_file(spec), mode="644")
    if not state.checksums or written.will_change or host.get_fact(Older, unit=state.unit, path=path):
        version, _, name = state.cluster.partition("/")
        server.shell(
            name="PostgreSQL restarted" if state.checksums else "PostgreSQL, with checksums of its pages",
            commands=[f"sh -s -- {version} {name} {shlex.quote(state.data)}"],
            _stdin=(_ON_HOST / "postgres.sh").read_text(encoding="utf-8"),
        )
    _redis(spec)


def database(member: Member) -> None:
    """After `stores`: of a cluster that does not run nobody knows what is in it."""
    del member
    state = host.get_fact(PostgresState)
    if not state.role:
        server.shell(name="role", commands=[f"cd / && runuser -u postgres -- createuser {places.USER}"])
    if not state.database:
        make = f"createdb --owner {places.USER} {names.DATABASE}"
        server.shell(name="database", commands=[f"cd / && runuser -u postgres -- {make}"])


def _redis(spec: Deployment) -> None:
    ours = _file(places.REDIS_OURS, native.redis_file(spec), user="redis", mode="640")
    included = files.line(
        name=f"{places.REDIS_MAIN} includes it",
        path=places.REDIS_MAIN,
        line=f"include {places.REDIS_OURS}",
        ensure_newline=True,
    )
    old = host.get_fact(Older, unit="redis-server.service", path=places.REDIS_OURS)
    if old or ours.will_change or included.will_change:
        server.shell(name="Redis restarted", commands=["systemctl restart redis-server.service"])


def program(member: Member, bundle: Bundle) -> None:
    """A release beside those that are there. Nothing is started."""
    if bundle.release in host.get_fact(Releases)["there"]:
        return
    archive = f"{places.UPLOADS}/{bundle.release}.tar.gz"
    script = f"{places.UPLOADS}/install_release.sh"
    files.put(name="the program", src=io.BytesIO(bundle.archive), dest=archive, mode="600")
    files.put(name="its installer", src=io.BytesIO(bundle.installer), dest=script, mode="700")
    told = [archive, bundle.release, bundle.lock, bundle.engine]
    network = {str(name): value for name, value in member.spec.images.build_args.items()}
    server.shell(
        name=f"release {bundle.release}", commands=[f"sh {script} {' '.join(map(shlex.quote, told))}"], _env=network
    )


def secrets(member: Member, release: str, provided: Provided | None) -> None:
    """Made where they are used and shown nowhere; what is there stays."""
    folder = f"{places.RELEASES}/{release}"
    paths = [places.API_KEY, places.CLUSTER_SECRET]
    there = host.get_fact(Secrets, paths=paths)
    for path in paths:
        if there.get(path) != _SECRET:
            server.shell(name=path, commands=[f"sh {folder}/{_MAKE_SECRET} {path} {places.USER}"])
    if not member.spec.encrypted:
        return
    if provided:
        for path, text in ((places.CERTIFICATE_KEY, provided.key), (places.CERTIFICATE, provided.certificate)):
            _file(path, text, user=places.BALANCER_USER, mode="400")
        return
    have = host.get_fact(CertificateState)
    wanted = native.certificate_names(member)
    if member.spec.edge.tls.source == "provided":
        _check_provided(member, have)
    elif not _good(have, wanted):
        told = " ".join(map(shlex.quote, (places.BALANCER, places.BALANCER_USER, member.spec.name, *wanted)))
        server.shell(
            name="certificate", commands=[f"cd {folder} && tools/bin/python -B -m hosts.on_host.certificate {told}"]
        )


def _good(have: Certificate, wanted: tuple[str, ...]) -> bool:
    """Whether one of ours can stay."""
    return have.matches and have.signed and have.days >= native.RENEW_DAYS and set(wanted) <= set(have.names)


def _check_provided(member: Member, have: Certificate) -> None:
    hostname = member.spec.edge.hostname
    if not certificates.covers(have.names, hostname):
        raise Failure(
            f"edge.tls.source = provided: {places.CERTIFICATE} with its key must be for {hostname}"
            + (f", and is for {', '.join(have.names)}" if have.names else ", and there is none")
            + "; say TLS_CERTIFICATE=file TLS_KEY=file, or put them there"
        )
    if not have.matches:
        raise Failure(
            f"edge.tls.source = provided: {places.CERTIFICATE_KEY} must be the key of {places.CERTIFICATE}, and is another's; "
            "say TLS_CERTIFICATE=file TLS_KEY=file, or put the right one there"
        )


def configuration(member: Member, release: str, cpus: units.Cpus) -> None:
    """Units and what they read. Nothing is started."""
    spec = member.spec
    written = [_file(f"{places.UNITS}/{name}", text) for name, text in units.units(spec, cpus).items()]
    for replica, text in units.gateway_files(spec, cpus, release).items():
        _file(places.gateway_environment(replica), text)
    path, text = native.balancer_file(spec, host.get_fact(Version, kind=edge.kind(spec)))
    _file(path, text)
    if any(one.will_change for one in written):
        systemd.daemon_reload(name="systemd reads them")


def start(member: Member, release: str, cpus: units.Cpus) -> None:
    """What runs with other files than those that are there is restarted, one gateway after another; the rest is started."""
    spec = member.spec
    if host.get_fact(NeedsReload):
        systemd.daemon_reload(name="systemd reads the units")
    running = host.get_fact(RunningGateways)
    # The release too: one that was taken back left a gateway with the new files and the old program.
    wanted = {n: f"{units.fingerprint(text)} {release}" for n, text in units.gateway_files(spec, cpus, release).items()}
    enabled = host.get_fact(EnabledUnits)
    _roll(spec, release, [n for n in wanted if n in running and running[n] != wanted[n]])
    ours = [places.TARGET, places.BALANCER_UNIT, *map(places.gateway_unit, wanted)]
    if missing := [unit for unit in ours if unit not in enabled]:
        server.shell(name="start with the host", commands=[f"systemctl enable --quiet {' '.join(missing)}"])
    if absent := [n for n in wanted if n not in running]:
        server.shell(
            name=f"gateways {', '.join(map(str, absent))}",
            commands=[f"systemctl start {' '.join(map(places.gateway_unit, absent))}"],
        )
    _balancer()
    _surplus(enabled, running, wanted)  # when the balancer asks them no more


def _surplus(enabled: list[str], running: Mapping[int, str], wanted: Mapping[int, str]) -> None:
    every = {*enabled, *map(places.gateway_unit, running)}
    surplus = sorted(
        unit for unit in every if unit.startswith("veloz-gateway@") and unit not in map(places.gateway_unit, wanted)
    )
    if surplus:
        server.shell(
            name="gateways that are no longer wanted", commands=[f"systemctl disable --now {' '.join(surplus)}"]
        )


def _roll(spec: Deployment, release: str, changed: list[int]) -> None:
    """Also where none runs: the release becomes the current one."""
    if not changed and host.get_fact(Releases)["current"] == release:
        return
    told = " ".join([release, str(native.READY_SECONDS), *(f"{n}={native.ready_url(spec, n)}" for n in changed)])
    server.shell(
        name=f"release {release} is current"
        + (f", gateways {', '.join(map(str, changed))} restarted" if changed else ""),
        commands=[f"cd {places.RELEASES}/{release} && venv/bin/python -B -m hosts.on_host.roll {told}"],
    )


def _balancer() -> None:
    does = {"absent": "restart", "stale": "restart", "changed": "reload"}
    if verb := does.get(host.get_fact(BalancerState)):
        server.shell(name=f"balancer: {verb}", commands=[f"systemctl {verb} {places.BALANCER_UNIT}"])


def _file(path: str, text: str, *, user: str = "root", mode: str = "644") -> OperationMeta:
    return files.put(
        name=path, src=io.StringIO(text), dest=path, user=user, group=user, mode=mode, create_remote_dir=False
    )
