"""`verify` of a native install: what units, processes and files are, read with other tools than those that made them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
from pyinfra.api.host import Host

from hosts import cores, native, places, units
from hosts.facts import sections
from hosts.inventory import Member
from hosts.native_facts import Certificate, CertificateState, Releases
from hosts.session import Session
from hosts.units import Cpus
from stacks.commands import certificates
from stacks.commands.failures import Failure
from tuning.verdict import Row, Verdict

_PROPERTIES: Final = "ActiveState,UnitFileState,NeedDaemonReload,TimeoutStopUSec,WatchdogUSec,MemoryMax,MainPID"
_ANY: Final = ""
# Of /proc/PID/status: no new privileges, a filter of system calls, and which capabilities there could ever be.
_HELD: Final = ("NoNewPrivs", "Seccomp", "CapBnd")
_BIND_SERVICE: Final = 1 << 10


def rows(member: Member, session: Session, cpus: Cpus | None = None) -> tuple[Row, ...]:
    """Empty where nothing is installed natively. `cpus`: what was given to programs, else by the host's cores."""
    if member.spec.hosts.install != "native" or not session.fact(Releases)["current"]:
        return ()
    return session.ask(_rows, member, cpus)


def _rows(host: Host, member: Member, cpus: Cpus | None) -> tuple[Row, ...]:
    replicas = member.spec.gateways.replicas
    said = sections.split(_output(host, sections.script(_commands(_units(replicas)))))
    return judge(member, cpus or cores.of_host(host, replicas), said)


def judge(member: Member, cpus: Cpus, said: Mapping[str, list[str]]) -> tuple[Row, ...]:
    """`said`: section → lines of what `systemctl show`, `/proc`, `taskset`, `systemd-analyze`, `stat` and `ss` print. Pure."""
    spec = member.spec
    found: list[Row] = []
    for unit in _units(spec.gateways.replicas):
        wanted = _wanted(member, balancer=unit == places.BALANCER_UNIT)
        found += _unit(unit, _values(said, f"show {unit}"), wanted)
        found.append(_open_files(unit, spec.limits.open_files, _first(said, f"limits {unit}"), _first(said, "limits")))
        found += _held(unit, wanted, said)
        if unit != places.BALANCER_UNIT:
            told = str(units.watchdog_seconds(spec) * 1_000_000)
            found.append(_row(f"{unit}: watchdog, µs (/proc)", told, _first(said, f"watchdog {unit}")))
        if cpus.gateway:
            found.append(_row(f"{unit}: CPUs (taskset)", cpus.gateway, _first(said, f"cpus {unit}")))
    found += _engines(spec.gateways.replicas, cpus, said)
    found += _files(said)
    if spec.encrypted:
        found += _certificate(member, CertificateState().process(said.get("certificate", [])))
    listening = " ".join(sorted(said.get("listening", [])))
    found.append(_row("listening on the network besides SSH", _ports(member), listening))
    return tuple(found)


def _units(replicas: int) -> list[str]:
    return [places.BALANCER_UNIT, *map(places.gateway_unit, range(1, replicas + 1))]


def _commands(every: list[str]) -> dict[str, str]:
    found = {}
    for unit in every:
        name = shlex.quote(unit)
        pid = f"$(systemctl show -p MainPID --value {name})"
        found[f"show {unit}"] = f"systemctl show -p {_PROPERTIES} {name}"
        found[f"limits {unit}"] = f"awk '/^Max open files/ {{print $4}}' /proc/{pid}/limits"
        found[f"held {unit}"] = f"grep -E '^({'|'.join(_HELD)}):' /proc/{pid}/status | tr -d '\t'"
        found[f"watchdog {unit}"] = f"tr '\\0' '\\n' </proc/{pid}/environ | sed -n 's/^WATCHDOG_USEC=//p'"
        group = f"$(systemctl show -p ControlGroup --value {name})"  # of version 2, or 1
        found[f"memory {unit}"] = (
            f"cat /sys/fs/cgroup{group}/memory.max /sys/fs/cgroup/memory{group}/memory.limit_in_bytes"
        )
        exposure = "sed -n 's/.*exposure level for .*: \\([0-9.]*\\) .*/\\1/p'"
        found[f"exposure {unit}"] = f"systemd-analyze security --no-pager {name} | {exposure}"
        found[f"cpus {unit}"] = f"taskset -cp {pid} | sed 's/.*: //'"
        found[f"engine {unit}"] = f"for p in $(pgrep -P {pid} veloz_engine); do taskset -cp $p | sed 's/.*: //'; done"
    found["limits"] = "awk '/^Max open files/ {print $5}' /proc/1/limits"
    paths = f"{places.API_KEY} {places.CLUSTER_SECRET} {places.CERTIFICATE_KEY}"
    found["files"] = f"stat -c '%n %U %a' {paths}"
    found["certificate"] = CertificateState().command()  # by openssl, which made none of it
    found["listening"] = (
        'ss -Hltnp | awk \'$4 !~ /^(127\\.|\\[::1\\])/ && !/"sshd"|"systemd"/ {sub(/.*:/, "", $4); print $4}\' | sort -u'
    )
    return found


def _wanted(member: Member, *, balancer: bool) -> dict[str, str]:
    spec = member.spec
    wanted = {"ActiveState": "active", "UnitFileState": "enabled", "NeedDaemonReload": "no"}
    if balancer:
        return wanted | {"MemoryMax": str(spec.size("balancer").memory * 1024 * 1024)}
    return wanted | {
        "TimeoutStopUSec": _systemd_seconds(spec.gateways.stop_grace),
        "WatchdogUSec": _systemd_seconds(units.watchdog_seconds(spec)),
        "MemoryMax": str(spec.gateway_size.memory * 1024 * 1024),
    }


def _systemd_seconds(seconds: int) -> str:
    """As `systemctl show` spells it."""
    minutes, rest = divmod(seconds, 60)
    return " ".join(part for part in (f"{minutes}min" if minutes else "", f"{rest}s" if rest else "") if part)


def _unit(unit: str, have: dict[str, str], wanted: dict[str, str]) -> Iterator[Row]:
    for name, want in wanted.items():
        yield _row(f"{unit}: {name}", want, have.get(name, ""))


def _open_files(unit: str, want: int, have: str, most: str) -> Row:
    """`most`: what systemd itself is held to; in a container without the capability it can give no more."""
    row = _row(f"{unit}: open files (/proc)", str(want), have)
    if row.verdict == "differs" and have == most:
        return msgspec.structs.replace(row, verdict="unavailable", why="whoever started this host allows it no more")
    return row


def _held(unit: str, wanted: Mapping[str, str], said: Mapping[str, list[str]]) -> Iterator[Row]:
    """Whether the kernel holds the process to what its unit says, and systemd's own sum of what it may."""
    have = dict(line.split(":", 1) for line in said.get(f"held {unit}", []) if ":" in line)
    bound = _BIND_SERVICE if unit == places.BALANCER_UNIT else 0
    for name, want in zip(_HELD, ("1", "2", f"{bound:016x}"), strict=True):
        yield _row(f"{unit}: {name} (/proc)", want, have.get(name, ""))
    yield _row(f"{unit}: memory (cgroup)", wanted["MemoryMax"], _first(said, f"memory {unit}"))
    exposure = _first(said, f"exposure {unit}")
    row = _row(f"{unit}: exposure (systemd-analyze security)", f"at most {units.EXPOSURE}", exposure)
    yield msgspec.structs.replace(row, verdict="ok") if exposure and float(exposure) <= units.EXPOSURE else row


def _engines(replicas: int, cpus: Cpus, said: Mapping[str, list[str]]) -> Iterator[Row]:
    for replica in range(1, replicas + 1):
        unit = places.gateway_unit(replica)
        have = said.get(f"engine {unit}", [])
        want = cpus.engine(replica)
        if want == _ANY:
            yield _row(f"{unit}: engines", "1", str(len(have)))
        else:
            yield _row(f"{unit}: its engine's CPUs (taskset)", want, " ".join(have))


def _files(said: Mapping[str, list[str]]) -> Iterator[Row]:
    have = dict(line.split(" ", 1) for line in said.get("files", []))
    for path in (places.API_KEY, places.CLUSTER_SECRET):
        yield _row(f"{path}: owner, mode", f"{places.USER} 400", have.get(path, ""))
    if places.CERTIFICATE_KEY in have:
        yield _row(
            f"{places.CERTIFICATE_KEY}: owner, mode", f"{places.BALANCER_USER} 400", have[places.CERTIFICATE_KEY]
        )


def _certificate(member: Member, have: Certificate) -> Iterator[Row]:
    """Of one that is not there, or that openssl cannot read, all is missing."""
    hostname, generated = member.spec.edge.hostname, member.spec.edge.tls.source == "generated"
    there = have != Certificate()
    names = ", ".join(have.names)
    if generated:
        wanted = native.certificate_names(member)
        covered, least = set(wanted) <= set(have.names), native.RENEW_DAYS
    else:
        wanted = (hostname,)
        covered, least = certificates.covers(have.names, hostname), 0
    rows = [
        ("key", "its own", "its own" if have.matches else "another's", have.matches),
        ("names", ", ".join(wanted), names, covered),
        ("days left", f"more than {least}", f"{have.days:.0f}", have.days > least),
    ]
    if generated:
        rows.append(("authority", places.AUTHORITY, places.AUTHORITY if have.signed else "another", have.signed))
    for what, want, said, good in rows:
        row = _row(f"{places.CERTIFICATE}: {what} (openssl)", want, said if there else "")
        yield msgspec.structs.replace(row, verdict="ok") if there and good else row


def _ports(member: Member) -> str:
    """Whoever else listens there is not ours, and to be explained."""
    model = native.balancer(member.spec)
    if model.host.startswith("127."):
        return ""
    return " ".join(sorted({str(model.port), *([str(model.tls.port)] if model.tls else [])}))


def _row(what: str, want: str, have: str) -> Row:
    verdict: Verdict = "ok" if have == want else "differs" if have else "missing"
    return Row(what, want, have, verdict, "the description")


def _values(said: Mapping[str, list[str]], name: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in said.get(name, []) if "=" in line)


def _first(said: Mapping[str, list[str]], name: str) -> str:
    return next(iter(said.get(name, [])), "")


def _output(host: Host, script: str) -> list[str]:
    good, output = host.run_shell_command(f"sh -c {shlex.quote(script)}", _sudo=bool(host.data.get("_sudo")))
    if not good:
        raise Failure(f"{host.name}: its units cannot be read: {output.stderr}")
    return list(output.stdout_lines)
