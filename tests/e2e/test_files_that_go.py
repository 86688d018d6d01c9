"""What is taken out of a description is taken off the Docker host: secrets, certificates, a balancer's configuration."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stacks import names
from stacks.balancer import TEMPLATES
from tests.e2e import docker_host as host
from tests.e2e.deployment import Deployed, free_subnet, missing, two_ports

pytestmark = [pytest.mark.alone, pytest.mark.timeout(1800)]


@contextmanager
def _brought_up(directory: Path, document: dict[str, Any]) -> Iterator[Deployed]:
    if why := missing():
        pytest.skip(why)
    with Deployed(directory, document | {"docker": {"subnet": free_subnet()}}) as made:
        made.command("up")
        yield made


def _with(deployed: Deployed, text: str) -> set[str]:
    """The volumes in which some file has the text."""
    found = host.files(deployed.name)
    assert found
    return {path.partition("/")[0].rpartition("-")[0] for path, content in found.items() if text.encode() in content}


def test_a_secret_that_is_taken_out_of_single_is_in_no_volume(tmp_path: Path) -> None:
    document = {"topology": "single", "edge": {"http_port": two_ports()[0]}}
    with _brought_up(tmp_path, document) as deployed:
        deployed.set_secrets(admin_password=secrets.token_urlsafe(24))
        deployed.command("up")
        assert _with(deployed, deployed.secrets["admin_password"]) == {f"{deployed.name}-gateway{names.FILES}"}
        gone = deployed.drop_secret("admin_password")
        deployed.command("up")
        assert not _with(deployed, gone)
        assert _with(deployed, deployed.secrets["api_key"]) == {f"{deployed.name}-gateway{names.FILES}"}
        assert "Nothing changes." in deployed.command("up").stdout


def test_of_compose_only_the_files_that_it_uses_are_there_and_gateways_go_one_by_one(tmp_path: Path) -> None:
    """A secret comes and goes, TLS goes and comes, and the balancer becomes one of the other kind."""
    http_port, https_port = two_ports()
    document = {
        "topology": "compose",
        "edge": {"kind": "nginx", "http_port": http_port, "https_port": https_port},
        "gateways": {"replicas": 2},
        "monitoring": {"grafana": False, "prometheus": False},
    }
    with _brought_up(tmp_path, document) as deployed:
        gateways = {f"{deployed.name}-gateway-{replica}{names.FILES}" for replica in (1, 2)}
        balancer, test = (f"{deployed.name}-{part}{names.FILES}" for part in ("balancer", names.BALANCER_TEST))
        key = deployed.secrets["tls_key"].splitlines()[1]
        stores = [host.inspect(f"{deployed.name}-{store}")["Id"] for store in ("postgres", "redis")]

        deployed.set_secrets(admin_password=secrets.token_urlsafe(24))
        deployed.describe(edge={"tls": {"source": "none"}})
        with host.stops(deployed.name) as ended:
            deployed.command("up")
        assert [it.name for it in ended if "gateway" in it.name] == [
            f"{deployed.name}-gateway-1",
            f"{deployed.name}-gateway-2",
        ]
        assert _with(deployed, deployed.secrets["admin_password"]) == gateways
        assert not _with(deployed, key)

        gone = deployed.drop_secret("admin_password")
        deployed.describe(edge={"kind": "haproxy", "tls": {"source": "generated"}})
        deployed.command("up")
        assert not _with(deployed, gone)
        assert _with(deployed, deployed.secrets["api_key"]) == gateways
        assert _with(deployed, key) == {balancer, test}
        inside = {path.rpartition("/")[2] for path in host.files(deployed.name) if path.startswith(balancer)}
        assert inside == {TEMPLATES["haproxy"], "tls.crt", "tls.key", "watch.sh"}
        assert [host.inspect(f"{deployed.name}-{store}")["Id"] for store in ("postgres", "redis")] == stores
        assert "Nothing changes." in deployed.command("up").stdout
