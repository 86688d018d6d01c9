"""The description of a balancer: what is refused, what derives from what, and that both programs accept every one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.middleware import MAX_HEAD
from app.operation import MAX_BODY
from app.settings import Settings
from stacks import programs
from stacks.balancer import Balancer, BalancerError, Discovery, Health, Kind, Server, milliseconds, render
from stacks.programs import Program, every, find
from stacks.tls import HSTS_SECONDS, Tls
from tests.stacks.certificates import issue

ONE = (Server("gateway-1", "127.0.0.1", 8081),)
GATEWAY = Settings(postgres_dsn="")

hosts = st.sampled_from(["127.0.0.1", "10.1.2.3", "::1", "fd00::7"])
names = st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True)
servers = st.lists(
    st.builds(Server, name=names, host=hosts, port=st.integers(1, 65_535)),
    min_size=1,
    max_size=8,
    unique_by=(lambda server: server.name, lambda server: server.address),
).map(tuple)
seconds = st.floats(0.001, 3600)
hostnames = st.sampled_from(["localhost", "veloz.example.com", "127.0.0.1"])
securities = st.builds(
    Tls,
    port=st.integers(10_000, 15_000),
    hostname=hostnames,
    public_port=st.integers(1, 65_535),
    hsts_seconds=st.sampled_from([31_536_000, HSTS_SECONDS]),  # gixy finds less too little
)
healths = st.builds(Health, host=st.sampled_from(["127.0.0.1", "127.0.0.2"]), port=st.integers(15_001, 19_999))
discoveries = st.builds(
    Discovery,
    name=st.sampled_from(["veloz-gateway.veloz.svc.cluster.local", "gateways"]),
    port=st.integers(1, 65_535),
    most=st.integers(1, 100),
    nameserver=hosts,
    nameserver_port=st.integers(1, 65_535),
)
models = st.builds(
    Balancer,
    gateways=servers,
    tls=st.none() | securities,
    health=st.none() | healths,
    host=st.sampled_from(["127.0.0.1", "127.0.0.2"]),
    # gixy takes any listener with 443 in it for one with TLS
    port=st.integers(20_000, 60_000).filter(lambda port: "443" not in str(port)),
    proxies=st.lists(st.sampled_from(["10.0.0.0/8", "fd00::/8", "192.0.2.1"]), unique=True).map(tuple),
    workers=st.integers(0, 4),
    connections=st.integers(1, 4096),
    keepalive=st.integers(1, 1000),
    max_body=st.integers(1, 1_000_000),
    max_head=st.integers(1024, 16_384),
    header_timeout=st.floats(0.001, 10),
    keepalive_timeout=seconds,
    stream_stall=seconds,
    order_timeout=seconds,
    stream_heartbeat=seconds,
    drain_linger=st.floats(1, 8),
    connect_timeout=seconds,
    failed_seconds=st.integers(1, 60),
    check_interval=st.floats(0.001, 10),
    check_timeout=st.floats(0.001, 10),
    shutdown_timeout=st.floats(0.001, 60),
)


def installed() -> list[Program]:
    """On a machine with Debian's packages those too, which are older."""
    return [*every("nginx"), *every("haproxy")]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("balancer")
    issue(made)
    return made


@pytest.mark.parametrize("program", installed(), ids=lambda program: program.name)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(model=models, discovery=st.none() | discoveries)
def test_the_program_accepts_every_description_that_is_not_refused(
    program: Program, model: Balancer, discovery: Discovery | None, directory: Path
) -> None:
    if discovery and (program.kind == "haproxy" or program.version >= (1, 27, 3)):
        model = msgspec.structs.replace(model, gateways=(), discovery=discovery)
    program.configure(model, directory)


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(st.lists(st.tuples(models, st.none() | discoveries), min_size=3, max_size=8))
def test_gixy_finds_nothing(directory: Path, made: list[tuple[Balancer, Discovery | None]]) -> None:
    paths = [directory / f"{number}.conf" for number in range(len(made))]
    for path, (model, discovery) in zip(paths, made, strict=True):
        if discovery:
            model = msgspec.structs.replace(model, gateways=(), discovery=discovery)  # noqa: PLW2901
        path.write_text(render(model, "nginx", (1, 31, 3) if discovery else ()))
    assert gixy(*paths) == set()


def test_gixy_would_find_something(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(render(Balancer(port=8080, gateways=ONE), "nginx").replace("Host $host;", "Host $http_host;"))
    assert gixy(path) == {"host_spoofing"}


def gixy(*paths: Path) -> set[str]:
    """The rules that these files break."""
    command = [sys.executable, "-m", "gixy", "-f", "json", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    found = {one["plugin"] for one in json.loads(done.stdout)}
    assert bool(found) == bool(done.returncode)
    return found


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gateways": ()}, "gateways"),
        ({"gateways": (Server("a b", "127.0.0.1", 1),)}, r"gateways\[0\]\.name"),
        ({"gateways": (Server("a", "127.0.0.1; return 200", 1),)}, r"gateways\[0\]\.host"),
        ({"gateways": ONE * 2}, "Two gateways have the name gateway-1"),
        ({"gateways": (*ONE, Server("b", "127.0.0.1", 8081))}, "Two gateways have the address 127.0.0.1:8081"),
        ({"header_timeout": 11.0}, "header_timeout"),
        ({"shutdown_timeout": 61.0}, "shutdown_timeout"),
        ({"drain_linger": 0.0}, "drain_linger"),
        ({"proxies": ("0.0.0.0/0",)}, "0.0.0.0/0 must be an address or a network, not everybody"),
        ({"proxies": ("10.0.0.0/8; }",)}, "must be an address or a network"),
        ({"user": "nobody;"}, "user"),
        ({"gateways": (), "discovery": None}, "has gateways or a discovery: one of the two"),
        ({"discovery": Discovery(name="a", port=1, most=1)}, "has gateways or a discovery: one of the two"),
        ({"gateways": (), "discovery": Discovery(name="a", port=1, most=101)}, "discovery.most"),
        ({"tls": Tls(port=8443, hostname="a b")}, "hostname"),
        ({"tls": Tls(port=8443, hostname="a", certificate="../tls.crt")}, "certificate"),
        ({"tls": Tls(port=8443, hostname="a", certificate="-tls.crt")}, "certificate"),
        ({"tls": Tls(port=8080, hostname="a")}, "Two listeners of the balancer have the port 8080"),
        ({"health": Health(port=8080)}, "Two listeners of the balancer have the port 8080"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BalancerError, match=words):
        render(Balancer(**{"port": 8080, "gateways": ONE, **changes}), "nginx")


def test_limits_are_the_gateways_own() -> None:
    model = Balancer(port=8080, gateways=ONE)
    assert (model.max_body, model.max_head) == (MAX_BODY, MAX_HEAD)
    assert GATEWAY.order_timeout < model.answer_timeout < 3
    assert model.idle_timeout < GATEWAY.drain_linger
    assert model.idle_timeout < GATEWAY.keepalive_timeout
    assert model.stream_timeout > 2 * GATEWAY.stream_heartbeat
    checks = 2 * model.check_timeout + model.check_interval + 0.2
    assert checks < 3  # from a hang right after one to the second that failed


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_a_duration_or_size_of_the_description_is_in_the_configuration_and_a_gateways_name_in_haproxys(
    kind: Kind,
) -> None:
    text = render(Balancer(port=8080, gateways=ONE, max_body=4321, order_timeout=0.5, drain_linger=2.0), kind)
    assert "127.0.0.1:8081" in text
    assert "4321" in text
    assert "1300ms" in text  # its answer, and 0.8 s for that to arrive
    assert str(MAX_BODY) not in text


@pytest.mark.parametrize(("kind", "listens"), [("nginx", "listen [::1]:8080 "), ("haproxy", "bind [::1]:8080 ")])
def test_an_ipv6_address_is_written_in_brackets(kind: Kind, listens: str) -> None:
    text = render(Balancer(host="::1", port=8080, gateways=(Server("a", "fd00::7", 8081),)), kind)
    assert listens in text
    assert " [fd00::7]:8081" in text


def test_an_nginx_that_is_too_old_for_it_is_not_told_to_spare_connections() -> None:
    model = Balancer(port=8080, gateways=ONE)
    assert "keepalive_min_timeout" not in render(model, "nginx", (1, 26, 3))
    assert f"keepalive_min_timeout {milliseconds(model.keepalive_spared)};" in render(model, "nginx", (1, 27, 4))


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_neither_is_told_to_send_a_post_again(kind: Kind) -> None:
    """What the other tests see of it; this one names the words that would change it."""
    text = re.sub(r"#.*", "", render(Balancer(port=8080, gateways=ONE), kind))
    assert "non_idempotent" not in text
    assert text.count("disable-l7-retry unless METH_GET") == (2 if kind == "haproxy" else 0)


def test_a_program_that_does_not_run_is_not_found_and_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("nginx", "haproxy"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "_ELSEWHERE", ())
    monkeypatch.setattr(programs, "_WHEELS", {"nginx": ("no_wheel", ""), "haproxy": ("no_wheel", "")})
    with pytest.raises(BalancerError, match=r"There is no nginx or haproxy that runs here.*apt install nginx"):
        find()
    with pytest.raises(BalancerError, match=r"There is no haproxy that runs here.*apt install haproxy"):
        find("haproxy")


def test_a_program_on_path_goes_before_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nginx").write_text("#!/bin/sh\necho nginx version: nginx/1.22.1 >&2\n")
    (tmp_path / "nginx").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = find()
    assert (found.path, found.version, found.name) == (str(tmp_path / "nginx"), (1, 22, 1), "nginx 1.22.1")


def test_what_a_program_says_against_its_configuration_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "render", lambda *_: "nonsense on;")
    for kind in ("nginx", "haproxy"):
        with pytest.raises(BalancerError, match=rf"{kind} [0-9.]+ refuses .*nonsense"):
            find(kind).configure(Balancer(port=8080, gateways=ONE), tmp_path)
