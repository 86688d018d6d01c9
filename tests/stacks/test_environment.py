"""A gateway's variables: it takes them all, and what is derived is what the rest of the description says."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings

from app.settings import VARIABLES, Settings
from app.settings import load as read
from stacks import names
from stacks.environment import DERIVED, secret_files, trusted_proxies, variables
from stacks.gateway_settings import gateway_settings
from stacks.secrets import NAMES
from stacks.spec import Deployment, Edge, Gateways, Kubernetes, Tls
from tests.stacks.strategies import deployments

OPTIONAL = frozenset({"admin_password", "binance_api_key", "binance_api_secret"})
VALUES = {
    "postgres_dsn": "postgresql://veloz:x@localhost/veloz",
    "redis_url": "redis://:x@localhost:6379/0",
    "api_key": "5a" * 8 + "0123456789abcdef0123456789abcdef0123456789abcdef",
    "cluster_secret": "1b" * 8 + "0123456789abcdef0123456789abcdef0123456789abcdef",
    "admin_password": "correct horse battery staple",
    "binance_api_key": "k",
    "binance_api_secret": "s",
}


def as_gateway(spec: Deployment, directory: Path, given: frozenset[str] = frozenset(), replica: int = 1) -> Settings:
    """What a gateway makes of its variables, with its files in `directory`."""
    environ = variables(spec, replica, given)
    for name, path in secret_files(spec, given).items():
        file = directory / name
        file.unlink(missing_ok=True)
        file.touch(mode=0o440)
        file.write_text(VALUES[name])
        assert environ[f"VELOZ_{name.upper()}_FILE"] == path
        environ[f"VELOZ_{name.upper()}_FILE"] = str(file)
    if spec.topology == "single":
        environ["VELOZ_POSTGRES_DSN"] = "postgresql://veloz@/veloz?host=/sockets"  # as the process of single adds it
    environ = {
        name: value.replace("$(POD_IP)", "10.1.2.3").replace("$(POD_NAME)", "veloz-gateway-7d4b9c-x2x7z")
        for name, value in environ.items()
    }
    return read(environ, api_key_file=directory / "none")


@given(spec=deployments())
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_gateway_takes_its_variables(spec: Deployment, tmp_path: Path) -> None:
    for given_secrets in (frozenset[str](), OPTIONAL):
        settings = as_gateway(spec, tmp_path, given_secrets, spec.gateways.replicas)
        for name in secret_files(spec, given_secrets):
            assert getattr(settings, name) == VALUES[name]
        for name, value in spec.gateways.settings.items():
            assert getattr(settings, name) == (tuple(value) if isinstance(value, list) else value)
        assert settings.port == 8080
        assert settings.drain_policy == spec.gateways.drain_policy
        assert settings.session_cookie_secure is spec.encrypted


@given(deployments())
def test_what_is_told_of_a_gateways_settings_is_what_it_takes(spec: Deployment) -> None:
    told = gateway_settings(spec)
    for name, value in spec.gateways.settings.items():
        assert getattr(told, name) == (tuple(value) if isinstance(value, list) else value)


@given(deployments())
def test_no_variable_holds_a_secret(spec: Deployment) -> None:
    secret = {variable.name for variable in VARIABLES if variable.secret}
    assert secret & set(variables(spec, 1, OPTIONAL)) == set()


def test_compose(tmp_path: Path) -> None:
    spec = Deployment(topology="compose", gateways=Gateways(drain_policy="cancel"))
    assert variables(spec, 2) == {
        "VELOZ_HOST": "10.213.1.12",
        "VELOZ_PORT": "8080",
        "VELOZ_GATEWAY_ID": "gateway-2",
        "VELOZ_ADVERTISE_URL": "http://10.213.1.12:8080",
        "VELOZ_DRAIN_POLICY": "cancel",
        "VELOZ_SESSION_COOKIE_SECURE": "true",
        "VELOZ_TRUSTED_PROXIES": "10.213.1.2",
        "VELOZ_METRICS_ACCESS": "open",
        "VELOZ_API_KEY_FILE": "/run/veloz/api_key",
        "VELOZ_CLUSTER_SECRET_FILE": "/run/veloz/cluster_secret",
        "VELOZ_POSTGRES_DSN_FILE": "/run/veloz/postgres_dsn",
        "VELOZ_REDIS_URL_FILE": "/run/veloz/redis_url",
    }
    assert as_gateway(spec, tmp_path, replica=2).advertise_url == "http://10.213.1.12:8080"


def test_single_knows_no_stores_and_no_others() -> None:
    assert variables(Deployment(topology="single", edge=Edge(tls=Tls(source="none")))) == {
        "VELOZ_HOST": "0.0.0.0",  # noqa: S104 - in its container
        "VELOZ_PORT": "8080",
        "VELOZ_GATEWAY_ID": "gateway-1",
        "VELOZ_DRAIN_POLICY": "hold",
        "VELOZ_SESSION_COOKIE_SECURE": "false",
        "VELOZ_API_KEY_FILE": "/run/veloz/api_key",
    }


def test_on_kubernetes_all_gateways_have_the_same_variables(tmp_path: Path) -> None:
    spec = Deployment(topology="kubernetes")
    assert variables(spec, 1) == variables(spec, 3)
    settings = as_gateway(spec, tmp_path)
    assert settings.gateway_id == "veloz-gateway-7d4b9c-x2x7z"
    assert settings.advertise_url == "http://10.1.2.3:8080"


def test_a_client_is_believed_through_the_balancer_alone() -> None:
    compose = Deployment(topology="compose")
    assert trusted_proxies(compose) == (names.address(compose, "app", "balancer"),)
    assert trusted_proxies(Deployment(topology="kubernetes", kubernetes=Kubernetes(pod_networks=("10.9.0.0/16",)))) == (
        "10.9.0.0/16",
    )
    assert trusted_proxies(Deployment(topology="single")) == ()


def test_a_replayed_recording_has_one_gateway() -> None:
    spec = Deployment(
        topology="compose",
        gateways=Gateways(replicas=1, settings={"market_source": "replay", "replay_file": ["/a.csv"]}),
    )
    found = variables(spec)
    assert "VELOZ_ADVERTISE_URL" not in found
    assert "VELOZ_CLUSTER_SECRET_FILE" not in found
    assert found["VELOZ_REPLAY_FILE"] == "/a.csv"


def test_derived_settings_are_settings_and_every_secret_is_among_them() -> None:
    assert set(DERIVED) <= {field.name for field in msgspec.structs.fields(Settings)}
    assert {variable.field for variable in VARIABLES if variable.secret} <= set(DERIVED)


@pytest.mark.parametrize("name", sorted(set(NAMES) & {variable.field for variable in VARIABLES}))
def test_a_secret_of_a_gateway_is_a_secret_setting(name: str) -> None:
    assert next(variable for variable in VARIABLES if variable.field == name).secret
