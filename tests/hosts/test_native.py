"""A deployment on one bare host: what its gateways, balancer and stores are told."""

from __future__ import annotations

import secrets
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from app.settings import load as load_settings
from hosts import native
from hosts.inventory import Member
from stacks import ports
from stacks.commands import certificates
from stacks.commands.failures import Failure
from stacks.commands.findings import show
from stacks.commands.output import Output
from stacks.document import load
from stacks.machines import Machine
from stacks.spec import Deployment
from tuning.profile import Role

EDGE = {"address": "0.0.0.0", "hostname": "trade.example.com"}  # noqa: S104 - a description, nothing listens


def spec(**fields: Any) -> Deployment:  # noqa: ANN401 - as the document has it
    return load({"topology": "compose", "edge": EDGE} | fields)


def member(address: str = "192.0.2.7", **fields: Any) -> Member:  # noqa: ANN401
    return Member(Machine(address=address), spec(**fields))


def test_each_gateway_has_the_usual_port_on_a_loopback_address_of_its_own() -> None:
    told = [native.environment(spec(), replica) for replica in (1, 2, 3)]
    assert {one["VELOZ_PORT"] for one in told} == {str(ports.GATEWAY)}
    addresses = [one["VELOZ_HOST"] for one in told]
    assert len(set(addresses)) == 3
    assert all(address.startswith("127.") for address in addresses)
    assert [server.host for server in native.balancer(spec()).gateways] == addresses
    assert [one["VELOZ_ADVERTISE_URL"] for one in told] == [f"http://{a}:{ports.GATEWAY}" for a in addresses]
    assert [native.ready_url(spec(), n) for n in (1, 2, 3)] == [f"http://{a}:8080/health/ready" for a in addresses]


def test_a_gateway_takes_its_variables(tmp_path: Path) -> None:
    told = native.environment(spec(gateways={"settings": {"rate_limit_key": 5}}), 2, "2,6")
    for name in ("VELOZ_API_KEY_FILE", "VELOZ_CLUSTER_SECRET_FILE"):
        file = tmp_path / name
        file.write_text(secrets.token_hex(32))
        file.chmod(stat.S_IRUSR)
        told[name] = str(file)
    settings = load_settings(told)
    assert settings.rate_limit_key == 5
    assert settings.engine_cpus == "2,6"
    assert settings.session_cookie_secure
    assert settings.redis_url == "unix:///run/redis/redis-server.sock"


def test_no_password_is_anywhere() -> None:
    told = native.environment(spec(), 1)
    assert told["VELOZ_POSTGRES_DSN"] == "host=/run/postgresql port=5432 dbname=veloz user=veloz"
    assert not any("password" in value.lower() or "/run/veloz/" in value for value in told.values())
    assert "requirepass" not in native.redis_file(spec())


def test_a_recording_is_played_by_a_gateway_that_shares_nothing() -> None:
    played = {"market_source": "replay", "replay_file": ["/srv/trades.csv"], "market_symbol": ["BTCUSDT"]}
    told = native.environment(spec(gateways={"replicas": 1, "settings": played}), 1)
    assert "VELOZ_CLUSTER_SECRET_FILE" not in told
    assert "VELOZ_ADVERTISE_URL" not in told


def test_the_stores_listen_to_sockets_alone() -> None:
    postgres = native.postgres_file(spec(sizes={"postgres": {"memory": 2048}}))
    assert "listen_addresses = ''\n" in postgres
    assert "shared_buffers = '512MB'\n" in postgres
    redis = native.redis_file(spec())
    assert redis.startswith("port 0\n")
    assert "bind" not in redis
    assert "unixsocketperm 770\n" in redis


@pytest.mark.parametrize("value", ["plain", "host=/run/x dbname=y", 'a "quoted" one', "back\\slash", "$HOME `id`"])
def test_an_environment_file_is_read_back_as_it_was(tmp_path: Path, value: str) -> None:
    file = tmp_path / "env"
    file.write_text(native.environment_file({"NAME": value}))
    # A shell unquotes as systemd does.
    assert subprocess.check_output(["sh", "-c", f'. {file}; printf %s "$NAME"'], text=True) == value


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_the_balancer_listens_where_clients_come(kind: str) -> None:
    edge = {**EDGE, "kind": kind, "http_port": 8000, "https_port": 8443}
    path, text = native.balancer_file(spec(edge=edge), (1, 22, 1))
    assert path == f"/etc/veloz/balancer/{'nginx.conf' if kind == 'nginx' else 'haproxy.cfg'}"
    assert "0.0.0.0:8443" in text
    assert "0.0.0.0:8000" in text
    assert native.url(spec(edge=edge)) == "https://trade.example.com:8443"


def test_a_certificate_is_for_the_names_clients_use() -> None:
    assert native.certificate_names(member()) == ("trade.example.com", "192.0.2.7", "localhost", "127.0.0.1")


@pytest.mark.parametrize(
    ("address", "name"),
    [("2001:DB8::7", "2001:db8::7"), ("2001:db8:0::7", "2001:db8::7"), ("DB1.example.com", "db1.example.com")],
)
def test_a_certificate_of_one_run_is_good_in_the_next_however_the_host_is_written(address: str, name: str) -> None:
    one = member(address)
    assert native.certificate_names(one)[1] == name
    made = certificates.generate("test", native.certificate_names(one))
    assert set(native.certificate_names(one)) <= set(certificates.read(made.certificate).names)


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([member("192.0.2.7"), member("192.0.2.8")], "192.0.2.7, 192.0.2.8: a native install is one host with all roles"),
        ([member(postgres={"store": "external", "host": "db"})], "postgres.store = external: a native install has"),
        ([member(edge={"http_port": ports.GATEWAY})], f"edge.http_port = {ports.GATEWAY}: on a host that port is for gateways"),
        ([Member(Machine(address="a"), load({"topology": "single"}))], "topology = single: a native install is made from"),
    ],
)  # fmt: skip
def test_what_cannot_be_native_is_refused(members: list[Member], why: str) -> None:
    with pytest.raises(Failure, match=why):
        native.refuse(members)


@pytest.mark.parametrize(
    ("roles", "missing"),
    [
        (("gateway", "engine"), "balancer, postgres, redis"),
        (("balancer", "gateway", "engine", "postgres", "monitoring"), "redis"),
    ],
)
def test_a_host_that_is_not_for_all_of_it_is_refused(roles: tuple[Role, ...], missing: str) -> None:
    part = Member(Machine(address="192.0.2.7", roles=roles), spec())
    with pytest.raises(Failure, match=rf"roles = {', '.join(roles)}: .* and {missing} would be on none; leave ROLES"):
        native.refuse([part])


def test_all_roles_with_or_without_monitoring_will_do() -> None:
    native.refuse([member()])
    native.refuse([Member(Machine(address="a", roles=("balancer", "gateway", "engine", "postgres", "redis")), spec())])


def test_a_host_of_another_deployment_is_refused() -> None:
    desk = spec(name="desk")
    assert list(native.findings(desk, "")) == []
    assert list(native.findings(desk, "desk")) == []
    with pytest.raises(
        Failure, match=r"wanted desk, have fund\. A host serves one.*name: fund.*write desk into /etc/veloz/deployment"
    ):
        show(list(native.findings(desk, "fund")), Output(machine=True))
