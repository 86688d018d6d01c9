"""Stores of a host that serve somebody already are seen, and refused before anything is changed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hosts import native, native_stage, provisioning
from hosts.facts import sections
from hosts.facts.look import Listener, look
from hosts.inventory import Member
from hosts.native_stores import Stores, StoresFact, findings, holds_nothing, stores
from stacks import ports
from stacks.commands.failures import Failure
from stacks.commands.findings import show
from stacks.commands.output import Output
from stacks.document import load
from stacks.machines import Machine
from tests.hosts.fakes import Answers, fake_session, ran

MEMBER = Member(Machine(address="192.0.2.7"), load({"topology": "compose"}))
AWAY = "Could not connect to Redis at /run/redis/redis-server.sock: No such file or directory"
ABOUT = (
    b"REDIS0010\xfa\tredis-ver\x067.0.15\xfa\nredis-bits\xc0@\xfa\x05ctime\xc2x$\tk\xfa\x08used-mem\xc2\xc8\xa2\x10\0"
)
EMPTY = ABOUT + b"\xfa\x08aof-base\xc0\0" + b"\xff" + b"checksum"
ONE_KEY = ABOUT + b"\xfe\0\xfb\1\0\0\1a\xc0\1" + b"\xff" + b"checksum"
FUNCTION = ABOUT + b"\xf5\x0a#!lua name" + b"\xff" + b"checksum"

FRESH = {
    "cluster": ["15 main online /var/lib/postgresql/15/main"],
    "postgres": ["answers|"],
    "redis": ["active"],
    "tcp": ["# Keyspace"],
    "socket": [AWAY],
    "data": [f"{len(EMPTY)} {EMPTY.hex()} /var/lib/redis/dump.rdb", "0  /var/lib/redis/appendonly.aof"],
}
DOWN = {"cluster": ["15 main down /var/lib/postgresql/15/main"], "postgres": []}


def lines(said: dict[str, list[str]]) -> list[str]:
    return [line for name, more in said.items() for line in (f"==veloz== {name}", *more)]


@pytest.mark.parametrize("said", [{}, FRESH, FRESH | DOWN, FRESH | {"redis": ["inactive"], "tcp": [AWAY]}])
def test_a_host_without_stores_or_with_fresh_ones_passes(said: dict[str, list[str]]) -> None:
    assert stores(lines(said)) == Stores()
    assert {one.verdict for one in findings(stores(lines(said)))} == {"ok"}


@pytest.mark.parametrize(
    ("said", "held"),
    [
        ({"postgres": ["answers|", "database|shop", "role|web"]}, ("database shop", "role web")),
        ({"postgres": ["answers|", "relation|carts"]}, ("relation carts",)),
        ({"postgres": []}, ("cluster 15/main, which does not say what is in it",)),
        (DOWN | {"files": ["16390"]}, ("cluster 15/main, which is down and has data",)),
    ],
)
def test_a_cluster_of_somebodys(said: dict[str, list[str]], held: tuple[str, ...]) -> None:
    assert stores(lines(FRESH | said)) == Stores(postgres=held)


@pytest.mark.parametrize(
    ("said", "held"),
    [
        ({"tcp": ["# Keyspace", "db0:keys=12,expires=0", "db3:keys=1"]}, ("12 keys in database 0", "1 keys in database 3")),
        ({"tcp": [AWAY], "socket": ["# Keyspace\r", "db0:keys=2,expires=0\r"]}, ("2 keys in database 0",)),
        (
            {"tcp": ["NOAUTH Authentication required."]},
            ("a server that does not say what is in it (NOAUTH Authentication required.)",),
        ),
        ({"tcp": [AWAY]}, (f"a server that does not say what is in it ({AWAY[:80]})",)),
        ({"tcp": [], "socket": []}, ("a server that does not say what is in it (no answer)",)),
        ({"data": [f"{len(ONE_KEY)} {ONE_KEY.hex()} /srv/my dump.rdb"]}, ("data in /srv/my dump.rdb",)),
        ({"data": [f"43 {b'*2'.hex()} /srv/appendonly.aof"]}, ("data in /srv/appendonly.aof",)),
    ],
)  # fmt: skip
def test_a_redis_of_somebodys(said: dict[str, list[str]], held: tuple[str, ...]) -> None:
    assert stores(lines(FRESH | said)) == Stores(redis=held)


@pytest.mark.parametrize(
    ("file", "nothing"),
    [(b"", True), (EMPTY, True), (ONE_KEY, False), (FUNCTION, False), (EMPTY + b"*2", False), (b"*2\r\n$6", False)],
)
def test_a_dump_without_data_is_known_from_one_with(file: bytes, *, nothing: bool) -> None:
    assert holds_nothing(len(file), file[:512]) == nothing


def test_the_refusal_names_what_is_there_the_rule_and_the_remedy() -> None:
    held = Stores(tuple(f"database {n}" for n in range(9)), ("12 keys in database 0",))
    with pytest.raises(Failure) as failed:
        show(list(findings(held)), Output(machine=True))
    assert "database 3 and 5 more. A native install takes over the host's own PostgreSQL" in str(failed.value)
    assert "have 12 keys in database 0. A native install takes over the host's own Redis" in str(failed.value)
    assert "take another host, or set hosts.install: docker" in str(failed.value)


def of_native(deployed: str, said: dict[str, list[str]], units: str = "", *listeners: Listener) -> set[str]:
    """What is refused."""
    answers: Answers = {
        "cat /etc/veloz/deployment": [deployed] if deployed else [],
        "redis-cli": lines(said),
        "apt-cache policy": ["nothing"],
        "list-unit-files": [units] if units else [],
    }
    seen = look(["==veloz== system", "ID=debian", 'VERSION_ID="12"'])._replace(listeners=listeners)
    with fake_session(answers) as session:
        found = list(provisioning._of_native(MEMBER, session, seen))
    return {one.what for one in found if one.verdict == "refused"}


def test_the_port_of_the_gateways_is_free_or_has_one_of_ours() -> None:
    address = native.gateway_address(MEMBER.spec, 2)
    here, all_of_it = (Listener("tcp", where, ports.GATEWAY, "python") for where in (address, "*"))
    assert of_native("", FRESH, "veloz-gateway@.service enabled enabled", here) == set()
    for stranger in (here, all_of_it):
        [refused] = of_native("", FRESH, "", stranger)
        assert refused.startswith(f"port {ports.GATEWAY} of 127.213.")


@pytest.mark.parametrize(
    ("port", "process", "refused"),
    [(ports.POSTGRES, "docker-proxy", True), (ports.POSTGRES, "postgres", False), (ports.REDIS, "keydb", True)],
)
def test_a_port_of_a_store_is_free_or_has_that_store(port: int, process: str, *, refused: bool) -> None:
    listener = Listener("tcp", "127.0.0.1", port, process)
    assert of_native("", FRESH, "", listener) == ({f"port {port}"} if refused else set())
    assert of_native("veloz", FRESH, "", listener) == set()


def test_stores_are_asked_where_there_is_no_deployment_of_ours_and_never_where_there_is() -> None:
    theirs = FRESH | {"postgres": ["answers|", "database|shop"], "tcp": ["# Keyspace", "db0:keys=1"]}
    assert of_native("", FRESH) == set()
    assert of_native("", theirs) == {"PostgreSQL there", "Redis there"}
    assert of_native("veloz", theirs) == set()
    assert not any("redis-cli" in command for command, _ in ran)


@pytest.mark.parametrize(("there", "written"), [("", 1), ("veloz", 0)])
def test_the_name_is_on_the_disk_before_a_database_is_made(there: str, written: int) -> None:
    with fake_session({"cat /etc/veloz/deployment": [there]}) as session:
        session.run(native_stage.whose, MEMBER)
    told = [command for command, stdin in ran if stdin]
    assert len(told) == written
    assert all(command.endswith("&& sync /etc/veloz") for command in told)


def asked(folder: Path, programs: dict[str, str]) -> Stores:
    """By the command itself, of programs that say so; without its root."""
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    command = StoresFact().command().replace("/etc/redis", str(folder)).replace("runuser -u postgres -- ", "")
    environ = {"PATH": f"{folder}:/usr/bin:/bin"}
    done = subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True, env=environ)
    assert set(sections.split(done.stdout.splitlines())) == {
        "cluster", "files", "postgres", "redis", "tcp", "socket", "data"
    }  # fmt: skip
    return StoresFact().process(done.stdout.splitlines())


def test_what_a_host_is_asked_finds_its_settings_and_data(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "appendonlydir").mkdir(parents=True)
    (tmp_path / "redis.conf").write_text(f'# port 1\nport 7000\ndir "{data}"\ndbfilename held.rdb\n')
    (data / "held.rdb").write_bytes(EMPTY)
    (data / "temp-12.rdb").write_bytes(ONE_KEY)
    cluster = tmp_path / "cluster"
    (cluster / "base" / "5").mkdir(parents=True)
    (cluster / "base" / "5" / "1259").touch()
    (cluster / "pg_tblspc").mkdir()
    programs = {
        "pg_lsclusters": f"echo '14 old 5433 online postgres /srv/o log'; echo '15 main 5432 down postgres {cluster} log'",
        "psql": "exit 2",
        "systemctl": "echo active",
        "redis-cli": 'case $* in "-p 7000 info keyspace") echo "# Keyspace" ;; *) echo "Could not connect" >&2; exit 1 ;; esac',
    }
    assert asked(tmp_path, programs) == Stores()
    (data / "held.rdb").write_bytes(ONE_KEY)
    (data / "appendonlydir" / "appendonly.aof.1.incr.aof").write_text("*2")
    (cluster / "base" / "16384").mkdir()
    assert asked(tmp_path, programs) == Stores(
        ("cluster 15/main, which is down and has data",),
        (f"data in {data}/held.rdb", f"data in {data}/appendonlydir/appendonly.aof.1.incr.aof"),
    )


@pytest.mark.parametrize(("status", "held"), [("online", ("database shop",)), ("down", ())])
def test_a_cluster_that_is_about_to_run_is_asked_again(tmp_path: Path, status: str, held: tuple[str, ...]) -> None:
    programs = {
        "pg_lsclusters": f"echo '15 main 5432 {status} postgres {tmp_path}/none log'",
        "psql": f"cd {tmp_path}; [ -e asked ] && printf 'answers|\\ndatabase|shop\\n' || {{ touch asked; exit 2; }}",
        "sleep": "exit 0",
        "systemctl": "echo inactive",
        "redis-cli": "exit 1",
    }
    assert asked(tmp_path, programs) == Stores(postgres=held)
