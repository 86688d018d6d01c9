"""The cluster's own ingress controller in the balancer's place, its certificate by cert-manager."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Self

import aiohttp
import psycopg
import pytest
import yaml
from cryptography import x509

from stacks.commands import resting
from stacks.commands.client import Client, Edge
from tests.e2e import cluster_host
from tests.e2e.cluster_host import kubectl
from tests.e2e.on_cluster import DOCUMENT, HOSTNAME, OnCluster, missing
from tests.faults.scale import Figure
from tests.stacks.certificates import signer

pytestmark = [pytest.mark.alone, pytest.mark.timeout(1800)]

# The controller that is to serve: {"ingress_class": …, "ingress_namespace": …}.
CONTROLLER: dict[str, str] = json.loads(os.environ.get("VELOZ_E2E_INGRESS", "{}"))
EVERY_SECONDS = 0.05


def lacking() -> str:
    """Why it cannot be brought up here; empty when it can."""
    if why := missing():
        return why
    if not CONTROLLER:
        return "VELOZ_E2E_INGRESS names no ingress controller"
    if not cluster_host.run("api-resources", "--api-group=cert-manager.io", "--output=name").stdout:
        return "the cluster has no cert-manager"
    return ""


class ByIngress(OnCluster):
    """Its certificate is by an issuer of its own, which goes with it."""

    def __enter__(self) -> Self:
        made = signer()
        self.authority.write_text(made.certificate)
        secret = {"tls.crt": made.certificate, "tls.key": made.key}
        metadata = {"name": self.name, "namespace": "cert-manager"}
        objects = [
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": metadata,
                "stringData": secret,
                "type": "kubernetes.io/tls",
            },
            {
                "apiVersion": "cert-manager.io/v1",
                "kind": "ClusterIssuer",
                "metadata": {"name": self.name},
                "spec": {"ca": {"secretName": self.name}},
            },
        ]
        kubectl("apply", "--filename", "-", given=yaml.safe_dump_all(objects))
        super().__enter__()
        self.describe(edge={"tls": {"issuer": self.name}})
        return self

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        cluster_host.run("delete", "clusterissuer", self.name, "--ignore-not-found")
        cluster_host.run("delete", "secret", self.name, "--namespace", "cert-manager", "--ignore-not-found")

    def certificate(self) -> dict[str, str]:
        return {"tls_ca": self.authority.read_text()}

    @property
    def edge(self) -> Edge:
        out = self.outputs()
        return Edge(out["url"], out["address"], out["port"], self.authority.read_text())


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ByIngress]:
    """Up, by the command that a user has, which includes an order and its event by way of the controller."""
    if why := lacking():
        pytest.skip(why)
    document = DOCUMENT | {
        "gateways": {"replicas": 2},
        "edge": {"kind": "ingress", "hostname": HOSTNAME, "tls": {"source": "issued", "issuer": "later"}},
        "kubernetes": DOCUMENT["kubernetes"] | CONTROLLER,
    }
    with ByIngress(tmp_path_factory.mktemp("ingress"), document) as made:
        made.build()
        made.command("up")
        yield made


async def test_it_serves_with_the_issued_certificate(stack: ByIngress) -> None:
    edge = stack.edge
    assert edge.url == f"https://{HOSTNAME}"
    assert len(await stack.smoke()) >= 4
    served = await asyncio.to_thread(_served, edge)
    names_of_it = served.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names_of_it.get_values_for_type(x509.DNSName) == [HOSTNAME]


def _served(edge: Edge) -> x509.Certificate:
    """What it shows to who asks for the host name; verified."""
    context = ssl.create_default_context(cadata=edge.authority)
    with (
        socket.create_connection((edge.address, edge.port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=edge.hostname) as secure,
    ):
        return x509.load_der_x509_certificate(secure.getpeercert(binary_form=True) or b"")


def test_a_second_up_changes_nothing(stack: ByIngress) -> None:
    assert stack.up().keys() == {"unchanged"}
    assert "Nothing changes." in stack.command("up").stdout


@pytest.mark.parametrize("path", ["/metrics", "/internal/v1/order", "//metrics"])
async def test_what_is_not_for_clients_ends_at_the_controller(stack: ByIngress, path: str) -> None:
    async with Client(stack.edge, "") as client:
        status, body = await client.json("GET", path)
    assert status in {301, 308, 400, 404}
    assert "veloz_" not in str(body)


async def test_an_update_loses_and_doubles_no_order(stack: ByIngress, figure: Figure) -> None:
    """What a controller does with a request at the moment its gateway goes is its own: what failed is counted and asked again."""
    answers: Counter[int] = Counter()
    placed: list[str] = []
    ended = False

    async def ask(client: Client, path: str, body: dict[str, str]) -> None:
        """Until it is answered: the same id is the same order."""
        while True:
            status = 0
            with suppress(aiohttp.ClientError, TimeoutError):
                status, _ = await client.json("POST", path, json=body)
            answers[status] += 1
            if 0 < status < 500:
                assert status == 200
                return
            await asyncio.sleep(0.2)

    async def trade() -> None:
        async with Client(stack.edge, stack.secrets["api_key"]) as client:
            _, config = await client.json("GET", "/api/config")
            symbol = config["market_symbols"][0]
            _, market = await client.json("GET", "/api/market", params={"symbol": symbol})
            bid = resting.bid(symbol, Decimal(str(market["price"])), Decimal())
            while not ended:
                order = {"client_order_id": f"ingress-{len(placed)}"}
                await ask(client, "/api/order", bid | order)
                await ask(client, "/api/cancel", order)
                placed.append(order["client_order_id"])
                await asyncio.sleep(EVERY_SECONDS)

    trading = asyncio.create_task(trade())
    before = {pod.name for pod in stack.pods}
    started = time.monotonic()
    stack.describe(gateways={"settings": {"stream_heartbeat": 9.0}})
    try:
        await asyncio.to_thread(stack.up)
        await asyncio.to_thread(stack.rolled_out, "gateway")
    finally:
        ended = True
        await trading
    figure("update, s", round(time.monotonic() - started, 1))
    assert before.isdisjoint(pod.name for pod in stack.pods)
    figure("answers", dict(answers))
    assert len(placed) > 50
    with psycopg.connect(stack.server()) as database:
        rows = database.execute(
            "SELECT client_order_id, count(*), min(status) FROM orders WHERE client_order_id LIKE 'ingress-%' GROUP BY 1"
        ).fetchall()
    assert {row[0]: row[1:] for row in rows} == dict.fromkeys(placed, (1, "CANCELLED"))
