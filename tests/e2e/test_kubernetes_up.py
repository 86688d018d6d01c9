"""Topology kubernetes on a real cluster: up, orders through the LoadBalancer, changes under load, rollback, destroy.

NetworkPolicies are declared and stored; test_kubernetes_reach.py is for networks that enforce them.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import msgspec
import psycopg
import pytest

from stacks import edge, names, ports, reach
from stacks.commands import cluster_standing, releases
from stacks.commands.client import Edge
from stacks.commands.smoke import smoke
from tests.e2e import cluster_host
from tests.e2e.cluster_host import kubectl, nudge, process
from tests.e2e.deployment import PREVIEW_SECONDS
from tests.e2e.on_cluster import HOSTNAME, OnCluster, missing
from tests.faults.checker import report
from tests.faults.fleet import Result, campaign
from tests.faults.hanging import EVERY_SECONDS, OUT_SECONDS
from tests.faults.scale import Figure, scaled
from tests.faults.waiting import until

pytestmark = [pytest.mark.alone, pytest.mark.timeout(1800)]

RATE = scaled(20.0, 40.0)
ROLLING_REQUESTS = scaled(500, 20_000)
RELOAD_REQUESTS = scaled(500, 10_000)
HANGS_SECONDS = 8.0


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnCluster]:
    """Up, by the commands that a user has, its certificate good for the address that the cluster gave."""
    if why := missing():
        pytest.skip(why)
    with OnCluster(tmp_path_factory.mktemp("kubernetes")) as stack:
        stack.build()
        said = stack.command("up")
        assert "PodSecurity" not in said.stdout + said.stderr
        stack.address = stack.outputs()["address"]
        assert stack.address
        if not stack.reachable():
            pytest.skip("this machine does not reach the cluster's pods")
        stack.database = stack.server()
        stack.set_secrets(**stack.certificate())
        stack.up()
        asyncio.run(_trusted(stack))
        yield stack


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    """TLS connections are closed a moment after their sessions, while the loop still runs."""
    yield
    await asyncio.sleep(0.5)


async def _trusted(stack: OnCluster) -> None:
    """Until the balancers serve the certificate there is now."""
    nudge(stack.name, "balancer")
    context = ssl.create_default_context(cafile=str(stack.authority))

    async def trusted() -> bool:
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{stack.url}/health/live", ssl=context) as answer,
            ):
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    # Every balancer, not one: the service spreads connections over them.
    in_a_row = 0
    async with asyncio.timeout(180):
        while in_a_row < 10:
            in_a_row = in_a_row + 1 if await trusted() else 0
            await asyncio.sleep(0.1)
    await asyncio.sleep(0.5)  # TLS connections are closed a moment after their sessions


def _failed(result: Result) -> dict[str, int]:
    words: dict[str, int] = {}
    for call in result.failed():
        words[f"{call.path} {call.status or call.error}"] = words.get(f"{call.path} {call.status or call.error}", 0) + 1
    return words


async def test_it_serves_orders_through_the_load_balancer(stack: OnCluster) -> None:
    out = stack.outputs()
    assert out["url"] == f"https://{HOSTNAME}"
    assert len(await stack.smoke()) >= 4


def test_a_second_up_changes_nothing(stack: OnCluster) -> None:
    assert stack.up().keys() == {"unchanged"}


def test_a_preview_is_quick(stack: OnCluster, figure: Figure) -> None:
    figure("preview, quickest of 3, s", quickest := stack.quickest_preview())
    assert quickest <= PREVIEW_SECONDS


def test_the_cluster_has_what_is_described(stack: OnCluster, figure: Figure) -> None:
    spec = stack.spec
    for role in spec.roles:
        there = cluster_host.pods(stack.name, role)
        assert len(there) == spec.replicas(role), role
        assert all(pod.ready and not pod.restarts for pod in there), there
    figure("NetworkPolicies stored", len(cluster_host.found("networkpolicies", stack.name)))
    edges = [edge for edge in reach.edges(spec) if edge.source != "operator"]
    into, out_of = {edge.target for edge in edges} & {*spec.roles}, {edge.source for edge in edges} & {*spec.roles}
    assert len(cluster_host.found("networkpolicies", stack.name)) == 1 + len(into) + len(out_of)


def test_no_pod_violates_restricted_in_the_clusters_own_eyes(stack: OnCluster) -> None:
    """Putting the label on tells of every pod that is there and violates it."""
    done = cluster_host.run(
        "label", "--dry-run=server", "--overwrite", "namespace", stack.name, "pod-security.kubernetes.io/enforce=restricted",
        "pod-security.kubernetes.io/enforce-version=latest", "io.veloz.test/look=1",
    )  # fmt: skip
    assert done.returncode == 0
    assert "violat" not in done.stderr.lower(), done.stderr
    lax = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "lax", "namespace": stack.name},
        "spec": {"containers": [{"name": "lax", "image": "lax:1"}]},
    }
    refused = cluster_host.run("apply", "--dry-run=server", "-f", "-", given=json.dumps(lax))
    assert refused.returncode != 0
    assert 'violates PodSecurity "restricted' in refused.stderr


def test_processes_are_what_the_description_makes_them(stack: OnCluster) -> None:
    for pod in stack.pods:
        pid = process(pod)
        status = Path(f"/proc/{pid}/status").read_text()
        assert re.search(r"^Uid:\s+10001\s+10001\s", status, re.MULTILINE)
        assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
        assert re.search(r"^CapBnd:\s+0+$", status, re.MULTILINE)
        assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
        assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE)
        root = next(line for line in Path(f"/proc/{pid}/mounts").read_text().splitlines() if line.split()[1] == "/")
        assert "ro" in root.split()[3].split(",")
        for path in Path(f"/proc/{pid}/root/run/veloz").iterdir():
            if path.is_file():
                assert path.stat().st_mode & 0o777 == 0o440
                assert path.stat().st_gid == 10001
        environ = Path(f"/proc/{pid}/environ").read_text()
        assert not [name for name, value in stack.secrets.items() if value in environ]
        assert not Path(f"/proc/{pid}/root/var/run/secrets/kubernetes.io/serviceaccount/token").exists()


def test_sysctls_of_the_description_hold_inside(stack: OnCluster) -> None:
    for pod in stack.pods:
        for name, value in stack.spec.limits.sysctls.items():
            inside = ["nsenter", "--target", str(process(pod)), "--net", "sysctl", "--values", name]
            read = subprocess.run(inside, capture_output=True, text=True, check=True).stdout
            assert read.split() == value.split(), name


async def test_prometheus_sees_every_gateway(stack: OnCluster) -> None:
    (watcher,) = cluster_host.pods(stack.name, "prometheus")
    async with aiohttp.ClientSession() as session:

        async def all_up() -> bool:
            async with session.get(f"http://{watcher.address}:{ports.PROMETHEUS}/api/v1/query?query=up") as answer:
                found = (await answer.json())["data"]["result"]
            up = [
                each["metric"]["instance"]
                for each in found
                if each["metric"]["job"] == "gateway" and each["value"][1] == "1"
            ]
            return sorted(up) == sorted(f"{address}:{ports.GATEWAY}" for address in stack.gateways.values())

        await until(all_up, seconds=60, every=1)


async def test_a_certificate_and_a_configuration_are_taken_without_loss(
    stack: OnCluster, tmp_path: Path, seed: int, figure: Figure
) -> None:
    """Nothing but files of the balancers changes, and their pods stay."""
    before = cluster_host.pods(stack.name, "balancer")
    took: list[float] = []

    async def change(_: object) -> None:
        started = time.monotonic()
        number = 0
        while not took or time.monotonic() - started < RELOAD_REQUESTS / RATE:
            number += 1
            seconds = 31_536_000 + number
            stack.describe(edge={"tls": {"hsts_seconds": seconds}})
            stack.set_secrets(**stack.certificate())
            changes = await asyncio.to_thread(stack.up)
            assert changes.get("updated") == 2, changes
            asked = time.monotonic()
            await _trusted(stack)
            async with aiohttp.ClientSession() as session, session.get(f"{stack.url}/health/live") as answer:
                assert f"max-age={seconds}" in answer.headers["Strict-Transport-Security"]
            took.append(time.monotonic() - asked)

    await stack.start()
    result = await campaign(stack, tmp_path, change, seed=seed, rate=RATE, accounts=2, by_balancer=True)
    figure("run", result.summary())
    figure("reloads; slowest until all balancers serve the new certificate, s", f"{len(took)}; {max(took):.1f}")
    assert cluster_host.pods(stack.name, "balancer") == before
    assert not (found := result.violations()), report(found)
    assert not (failed := _failed(result)), failed
    assert result.statuses().total() >= RELOAD_REQUESTS


async def test_a_rolling_update_fails_no_request(stack: OnCluster, tmp_path: Path, seed: int, figure: Figure) -> None:
    """By `up` with a changed setting."""
    updates = 0

    async def update(_: object) -> None:
        nonlocal updates
        started = time.monotonic()
        while not updates or time.monotonic() - started < ROLLING_REQUESTS / RATE:
            before = set(stack.gateways)
            stack.describe(gateways={"settings": {"log_level": "DEBUG" if updates % 2 == 0 else "INFO"}})
            changes = await asyncio.to_thread(stack.up)
            assert changes.get("updated") == 2, changes
            assert not before & set(stack.gateways)
            updates += 1

    await stack.start()
    result = await campaign(stack, tmp_path, update, seed=seed, rate=RATE, accounts=2, by_balancer=True)
    figure("updates of all gateways", updates)
    figure("run", result.summary())
    assert not (found := result.violations()), report(found)
    assert not (failed := _failed(result)), failed
    assert result.statuses().total() >= ROLLING_REQUESTS


async def test_a_hung_gateway_leaves_the_rotation(
    stack: OnCluster, tmp_path: Path, seed: int, rng: random.Random, figure: Figure
) -> None:
    """The requests that the hung gateway got are those that the balancer gave up on."""
    given_up = 0.9 * edge.balancer(stack.spec).answer_timeout
    hung: list[float] = []

    async def hang(_: object) -> None:
        pid = process(rng.choice(stack.pods))
        asking = asyncio.create_task(_ask_anew(stack.url, given_up, hung))
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(HANGS_SECONDS)
        finally:
            os.kill(pid, signal.SIGCONT)
            asking.cancel()

    await stack.start()
    result = await campaign(stack, tmp_path, hang, seed=seed, rate=RATE, accounts=2, by_balancer=True)
    figure("run", result.summary())
    figure("seconds from SIGSTOP to the last request that the hung gateway got", max(hung))
    assert not (found := result.violations()), report(found)
    assert max(hung) <= OUT_SECONDS


async def _ask_anew(url: str, slow: float, hung: list[float]) -> None:
    """Reads on connections of their own; notes when those began that took so long. Until it is cancelled."""
    started = time.monotonic()
    hung.append(0.0)
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10)) as session:

        async def once(at: float) -> None:
            async with session.get(f"{url}/health/live") as answer:
                await answer.read()
            if time.monotonic() - started - at > slow:
                hung.append(at)

        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(once(time.monotonic() - started))
                await asyncio.sleep(EVERY_SECONDS)


def test_up_ends_when_every_balancer_shows_the_new_certificate(stack: OnCluster) -> None:
    """Kubelets bring it within a minute or two."""
    stack.set_secrets(**(given := stack.certificate()))
    stack.command("up")
    shown = {ssl.get_server_certificate((stack.address, ports.HTTPS), timeout=5) for _ in range(30)}
    assert [certificate.strip() for certificate in shown] == [given["tls_certificate"].strip()]


async def test_a_configuration_that_balancers_refuse_is_seen(stack: OnCluster) -> None:
    def doing() -> list[str]:
        return [it.said.verdict for it in cluster_standing.read(stack.spec) if it.role == "balancer" and it.said]

    patch = json.dumps({"data": {edge.configuration(stack.spec)[0]: "nonsense\n"}})
    kubectl("patch", "configmap", "veloz-balancer", "--namespace", stack.name, "--patch", patch)
    nudge(stack.name, "balancer")

    async def refused() -> bool:
        return set(await asyncio.to_thread(doing)) == {"refuses"}

    await until(refused, seconds=120)
    await stack.start()
    await asyncio.to_thread(stack.command, "up")
    assert set(doing()) == {"runs"}


def test_a_gateway_that_restarts_is_no_success_until_it_has_been_up_for_a_while(stack: OnCluster) -> None:
    os.kill(process(stack.pods[0]), signal.SIGKILL)
    done = stack.command("up", "--ready-within", "5", check=False)
    assert done.returncode == 1
    assert re.search(r"veloz-gateway-\S+ (has restarted \(\d+ so far\)|does not run|is starting)", done.stderr), (
        done.stderr
    )
    stack.command("up")


def test_another_cluster_than_the_last_releases_is_refused(stack: OnCluster) -> None:
    """By the recorded identity: there is one cluster here."""
    path = stack.file.with_name(f"Pulumi.{stack.stack}.releases.jsonl")
    known = releases.read(path)
    uid = kubectl("get", "namespace", "kube-system", "--output", "jsonpath={.metadata.uid}")
    assert known[-1].target["namespace"] == uid
    moved = msgspec.structs.replace(known[-1], target=known[-1].target | {"namespace": "another"})
    releases.put(path, moved)
    before = stack.pulumi("stack", "export", "--stack", stack.stack).stdout
    for command in (["preview"], ["up"], ["destroy"]):
        done = stack.command(*command, check=False)
        assert (done.returncode, "is deployed elsewhere" in done.stderr) == (1, True), done.stderr
    assert stack.pulumi("stack", "export", "--stack", stack.stack).stdout == before
    releases.put(path, known[-1])
    assert "Nothing changes." in stack.command("up").stdout


def test_a_rollback_returns_to_the_last_good_release(stack: OnCluster) -> None:
    stack.describe(gateways={"settings": {"log_level": "INFO"}})
    stack.command("up")
    before = kubectl("get", "configmap", "veloz-gateway", "--namespace", stack.name, "--output", "jsonpath={.data}")
    stack.describe(gateways={"settings": {"log_level": "WARNING"}})
    stack.command("up")
    changed = kubectl("get", "configmap", "veloz-gateway", "--namespace", stack.name, "--output", "jsonpath={.data}")
    assert before != changed
    stack.command("rollback")
    assert before == kubectl(
        "get", "configmap", "veloz-gateway", "--namespace", stack.name, "--output", "jsonpath={.data}"
    )


def test_destroy_keeps_the_data_unless_its_loss_is_confirmed(stack: OnCluster) -> None:
    orders = _orders(stack)
    assert orders
    stack.command("destroy")
    assert not cluster_host.pods(stack.name)
    claims = {claim["metadata"]["name"] for claim in cluster_host.found("persistentvolumeclaims", stack.name)}
    assert claims == {f"data-{names.object_name(role)}-0" for role in ("postgres", "redis", "prometheus")}
    stack.command("up")
    assert _orders(stack) >= orders
    stack.command("destroy", CONFIRM=stack.stack)
    assert "NotFound" in cluster_host.run("get", "namespace", stack.name).stderr
    state = json.loads(stack.pulumi("stack", "export", "--stack", stack.stack).stdout)["deployment"]
    assert not state.get("resources")


def _orders(stack: OnCluster) -> int:
    with psycopg.connect(stack.server()) as connection:
        row = connection.execute("SELECT count(*) FROM orders").fetchone()
    return int(row[0]) if row else 0


async def test_rendered_objects_are_applied_without_pulumi(tmp_path: Path) -> None:
    """`make render | kubectl apply --server-side -f -`: no plugin, a namespace of its own, no warning, and it serves."""
    if why := missing():
        pytest.skip(why)
    with OnCluster(tmp_path) as stack:
        stack.build()
        text = stack.command("render", "--secrets").stdout
        applied = cluster_host.run("apply", "--server-side", "-f", "-", given=text)
        assert applied.returncode == 0, applied.stderr
        assert "Warning" not in applied.stderr
        again = cluster_host.run("apply", "--server-side", "-f", "-", given=text)
        assert "Warning" not in again.stderr
        for role in ("gateway", "balancer"):
            stack.rolled_out(role)
        address = stack.given_address()
        place = Edge(f"https://{HOSTNAME}", address, 443, stack.authority.read_text())
        assert len(await smoke(place, stack.secrets["api_key"])) >= 4
