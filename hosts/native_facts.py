"""What a host says of a native install: short commands, read by pyinfra."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from pyinfra.api import FactBase

from hosts import native, places
from hosts.facts.started import newer
from hosts.target import canonical
from stacks import names, ports

_ASK: Final = (
    "SELECT 'running', 'on' "
    "UNION ALL SELECT 'role', 'on' FROM pg_roles WHERE rolname = '{role}' "
    "UNION ALL SELECT 'database', 'on' FROM pg_database WHERE datname = '{database}'"
)
_VERSION: Final = re.compile(r"(\d+(?:\.\d+)+)")


class Text(FactBase[str]):
    """Its output; empty when it says nothing or fails."""

    def process(self, output: list[str]) -> str:
        return "\n".join(output).strip()

    @staticmethod
    def default() -> str:
        return ""


class Postgres(NamedTuple):
    """`cluster` is `15/main`; empty: none is made for the usual port. Of one that is down, `role` and `database` are False."""

    cluster: str = ""
    data: str = ""
    running: bool = False
    checksums: bool = False
    role: bool = False
    database: bool = False

    @property
    def unit(self) -> str:
        return f"postgresql@{self.cluster.replace('/', '-')}.service"


class PostgresState(FactBase[Postgres]):
    """Of the distribution's cluster at the usual port, whether it runs or not: checksums by its control file."""

    def command(self) -> str:
        ask = _ASK.format(role=places.USER, database=names.DATABASE)
        control = "LC_ALL=C /usr/lib/postgresql/$version/bin/pg_controldata -D $data 2>/dev/null"
        return (
            f"pg_lsclusters --no-header 2>/dev/null | awk '$3 == {ports.POSTGRES} {{print $1, $2, $6}}' | "
            "while read -r version name data; do "
            'echo "cluster|$version/$name"; echo "data|$data"; '
            f"{control} | awk '/^Data page checksum version:/ && $NF > 0 {{print \"checksums|on\"}}'; done; "
            f"cd / && runuser -u postgres -- psql -p {ports.POSTGRES} -AXtq -c {shlex.quote(ask)} 2>/dev/null || true"
        )

    def process(self, output: list[str]) -> Postgres:
        said = dict(line.split("|", 1) for line in output if "|" in line)
        on = {name: said.get(name) == "on" for name in ("running", "checksums", "role", "database")}
        return Postgres(said.get("cluster", ""), said.get("data", ""), **on)

    @staticmethod
    def default() -> Postgres:
        return Postgres()


class Older(FactBase[bool]):
    """Whether a unit does not run, or runs since before a file was written: it has not read it."""

    def command(self, unit: str, path: str) -> str:
        asked, written = shlex.quote(unit), shlex.quote(path)
        return f"systemctl is-active -q {asked} || echo older; [ -e {written} ] && {newer(path, unit)} && echo older || true"

    def process(self, output: list[str]) -> bool:
        return "older" in output

    @staticmethod
    def default() -> bool:
        return False


class Version(FactBase[tuple[int, ...]]):
    """Of nginx or haproxy; () when it is not there."""

    def command(self, kind: str) -> str:
        return f"PATH=/usr/sbin:$PATH {kind} -v 2>&1 || true"

    def process(self, output: list[str]) -> tuple[int, ...]:
        found = _VERSION.search(" ".join(output))
        return tuple(map(int, found[1].split("."))) if found else ()

    @staticmethod
    def default() -> tuple[int, ...]:
        return ()


class Releases(FactBase[dict[str, Any]]):
    """`current`: the release that is started, and `there`: those that could be."""

    def command(self) -> str:
        return f"readlink {places.CURRENT} || echo -; ls -1 {places.RELEASES} 2>/dev/null || true"

    def process(self, output: list[str]) -> dict[str, Any]:
        current, *there = output
        return {"current": current.rpartition("/")[2].strip("-"), "there": there}

    @staticmethod
    def default() -> dict[str, Any]:
        return {"current": "", "there": []}


class RunningGateways(FactBase[dict[int, str]]):
    """Number → the fingerprint of what it was started with and the release that it runs, of each that runs."""

    def command(self) -> str:
        units = "systemctl list-units --plain --no-legend --state=active 'veloz-gateway@*.service'"
        return (
            f"{units} | while read -r unit rest; do pid=$(systemctl show -p MainPID --value $unit); "
            f"echo $unit $(tr '\\0' '\\n' </proc/$pid/environ | grep ^{native.FINGERPRINT}=) "
            '$(basename "$(readlink /proc/$pid/cwd)"); done; true'
        )

    def process(self, output: list[str]) -> dict[int, str]:
        found = {}
        for line in output:
            unit, _, mark = line.partition(" ")
            if number := re.fullmatch(r"veloz-gateway@(\d+)\.service", unit):
                found[int(number[1])] = mark.strip().partition("=")[2]
        return found

    @staticmethod
    def default() -> dict[int, str]:
        return {}


class Units(FactBase[list[str]]):
    """Those that systemd has a file of, masked ones too."""

    def command(self, pattern: str) -> str:
        return f"systemctl list-unit-files --no-legend {shlex.quote(pattern)} || true"

    def process(self, output: list[str]) -> list[str]:
        return [line.split()[0] for line in output if line.strip()]

    @staticmethod
    def default() -> list[str]:
        return []


class EnabledUnits(FactBase[list[str]]):
    """Ours, that start with the host."""

    def command(self) -> str:
        wants = f"{places.UNITS}/{places.TARGET}.wants {places.UNITS}/multi-user.target.wants"
        return f"find {wants} -name 'veloz*' -printf '%f\\n' 2>/dev/null | sort -u || true"

    def process(self, output: list[str]) -> list[str]:
        return output

    @staticmethod
    def default() -> list[str]:
        return []


class BalancerState(Text):
    """`current`: it runs with the files that are there; `changed`: with others; `stale`: its unit is another; `absent`."""

    def command(self) -> str:
        unit = f"{places.UNITS}/{places.BALANCER_UNIT}"
        active = f"systemctl is-active -q {places.BALANCER_UNIT}"
        digest = f"$(cat {places.BALANCER}/* | sha256sum)"
        return (
            f"if ! {active}; then echo absent; elif {newer(unit, places.BALANCER_UNIT)}; then echo stale; "
            f'elif [ "{digest}" = "$(cat {places.LOADED})" ]; then echo current; else echo changed; fi'
        )


class NeedsReload(FactBase[bool]):
    """Whether systemd has other texts of our units than there are."""

    def command(self) -> str:
        units = "'veloz-gateway@*' 'veloz-balancer*' veloz.target"
        return f"systemctl show -p NeedDaemonReload {units} 2>/dev/null | sort -u || true"

    def process(self, output: list[str]) -> bool:
        return "NeedDaemonReload=yes" in output

    @staticmethod
    def default() -> bool:
        return False


class Secrets(FactBase[dict[str, str]]):
    """Path → `owner mode size` of the secrets that are there; never what is in them."""

    def command(self, paths: list[str]) -> str:
        return f"stat -c '%n %U:%G %a %s' {' '.join(paths)} 2>/dev/null || true"

    def process(self, output: list[str]) -> dict[str, str]:
        return dict(line.split(" ", 1) for line in output)

    @staticmethod
    def default() -> dict[str, str]:
        return {}


class Certificate(NamedTuple):
    """`days` that it is still good for; negative: there is none. `matches` its key; `signed` by the authority beside it."""

    names: tuple[str, ...] = ()
    days: float = -1
    matches: bool = False
    signed: bool = False


class CertificateState(FactBase[Certificate]):
    """Of the balancer's certificate, whose key is beside it: three files, between which a run may have ended."""

    def command(self) -> str:
        certificate, key = places.CERTIFICATE, places.CERTIFICATE_KEY
        of_key = f"openssl pkey -in {key} -passin pass: -pubout"
        return (
            f"[ -s {key} ] && {{ openssl x509 -in {certificate} -noout -enddate -ext subjectAltName; "
            f'of=$(openssl x509 -in {certificate} -noout -pubkey) && [ "$of" = "$({of_key})" ] && echo matches; '
            f"openssl verify -no_check_time -CAfile {places.AUTHORITY} {certificate} >&2 && echo signed; }} 2>/dev/null || true"
        )

    def process(self, output: list[str]) -> Certificate:
        text = "\n".join(output)
        end = re.search(r"notAfter=(.+) GMT", text)
        if not end:
            return Certificate()
        ends = datetime.strptime(end[1], "%b %d %H:%M:%S %Y").replace(tzinfo=UTC)
        names = tuple(canonical(name) for name in re.findall(r"(?:DNS|IP Address):([^,\s]+)", text))
        days = (ends - datetime.now(UTC)).total_seconds() / 86_400
        return Certificate(names, days, "matches" in output, "signed" in output)

    @staticmethod
    def default() -> Certificate:
        return Certificate()


class Deployed(Text):
    """The name of the deployment that the host has."""

    def command(self) -> str:
        return f"cat {places.DEPLOYMENT} 2>/dev/null || true"


class Authority(Text):
    """The certificate that clients check the edge's with; no secret."""

    def command(self) -> str:
        return f"cat {places.AUTHORITY} 2>/dev/null || true"


class Smoke(Text):
    """Runs the smoke test on the host; one line of JSON."""

    def command(self, arguments: list[str]) -> str:
        told = " ".join(map(shlex.quote, arguments))
        return f"cd {places.CURRENT} && runuser -u {places.USER} -- {places.PYTHON} -B -m hosts.on_host.smoke {told}"
