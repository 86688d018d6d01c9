"""Compose, really brought up: behind its balancer it serves, is updated, reloaded and hit, and goes without a trace."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from stacks import names, reach
from stacks.balancer import Kind
from stacks.commands.certificates import generate
from stacks.commands.pulumi_errors import explain
from stacks.references import version
from stacks.units import bytes_of
from tests.e2e import docker_host as host
from tests.e2e.deployment import IMAGES, PREVIEW_SECONDS, Deployed, free_subnet, missing, served_certificate, two_ports
from tests.faults.checker import report
from tests.faults.fleet import Result, campaign
from tests.faults.hanging import OUT_SECONDS, ask_anew
from tests.faults.ledger import NOT_CONNECTED
from tests.faults.scale import FULL, Figure, scaled
from tests.faults.stream import AWAY_SECONDS
from tests.stacks.images.test_watch import eventually

pytestmark = [pytest.mark.alone, pytest.mark.timeout(3600)]

BALANCERS: list[Kind] = ["haproxy", "nginx"] if FULL else ["haproxy"]
# Older ones close kept connections in a reload, under requests too: there is no `keepalive_min_timeout`.
NGINX_RELOADS = (1, 27, 4)
RATE = scaled(20.0, 40.0)
ROLLING_REQUESTS = scaled(1_000, 20_000)
RELOAD_REQUESTS = scaled(1_000, 10_000)
EXIT_SECONDS = 25.0
OLD_WORKERS_SECONDS = 60.0
HANGS_SECONDS = 6.5


@pytest.fixture(scope="module", params=BALANCERS)
def deployed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    if why := missing():
        pytest.skip(why)
    http_port, https_port = two_ports()
    document = {
        "topology": "compose",
        "edge": {"kind": request.param, "http_port": http_port, "https_port": https_port},
        "docker": {"subnet": free_subnet()},
        "gateways": {"settings": {"rate_limit_key": 0, "rate_limit_address": 0}},
        "monitoring": {"grafana": IMAGES.get("grafana") != ""},
    }
    with Deployed(tmp_path_factory.mktemp("state"), document) as made:
        made.up()
        yield made


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    """aiohttp's TLS connections take a moment after their session to be closed (its documentation, Graceful shutdown)."""
    yield
    await asyncio.sleep(1)


async def test_it_serves_through_its_balancer(deployed: Deployed) -> None:
    """With TLS, by the generated authority: health, an order, its event, its cancellation."""
    steps = await deployed.smoke()
    assert [step for step in steps if step.startswith("cancellation: CANCELLED")], steps


def test_grafana_is_there(deployed: Deployed) -> None:
    if not deployed.spec.monitoring.grafana:
        pytest.skip("there is no image of Grafana here: it was not brought up")
    assert host.inspect(f"{deployed.name}-grafana")["State"]["Health"]["Status"] == "healthy"


def test_a_second_up_changes_nothing(deployed: Deployed, figure: Figure) -> None:
    started = time.monotonic()
    deployed.pulumi("preview", "--stack", deployed.stack, "--expect-no-changes")
    figure("preview, s", time.monotonic() - started)
    assert set(deployed.up()) == {"unchanged"}
    assert set(deployed.up("--refresh")) == {"unchanged"}


def test_a_preview_is_quick(deployed: Deployed, figure: Figure) -> None:
    figure("preview, quickest of 3, s", quickest := deployed.quickest_preview())
    assert quickest <= PREVIEW_SECONDS


def test_docker_says_of_the_containers_what_the_description_says(deployed: Deployed) -> None:
    spec = deployed.spec
    assert host.running(deployed.name) == {
        names.container(spec, role if role != "gateway" else names.gateway_id(replica))
        for role in spec.roles
        for replica in range(1, spec.replicas(role) + 1)
    }
    published = {(it.target, spec.edge.address, it.port) for it in reach.published(spec)}
    for name in sorted(host.running(deployed.name)):
        found = host.inspect(name)
        told, size = found["HostConfig"], spec.container_size(found["Config"]["Labels"]["io.veloz.role"])
        assert told["Memory"] == told["MemorySwap"] == bytes_of(size.memory)
        assert told["CpuQuota"] / told["CpuPeriod"] == size.cpu / 1000
        assert told["ReadonlyRootfs"]
        assert told["CapDrop"] == ["ALL"]
        assert not told["CapAdd"]
        assert not told["Privileged"]
        assert not told["Binds"]
        assert int(found["Config"]["User"].split(":")[0]) > 0
        status = Path(f"/proc/{host.process(name)}/status").read_text()
        assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
        assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)
        ports = {
            (int(inside.split("/")[0]), it["HostIp"], int(it["HostPort"]))
            for inside, outside in (found["NetworkSettings"]["Ports"] or {}).items()
            for it in outside or ()
        }
        assert ports == (published if name == f"{deployed.name}-balancer" else set())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root looks into the network of a container")
def test_from_each_container_exactly_what_is_declared_can_be_reached(deployed: Deployed, figure: Figure) -> None:
    """Every port that anything listens on, at every address of every other container."""
    spec = deployed.spec
    running = sorted(host.running(deployed.name))
    role = {name: host.inspect(name)["Config"]["Labels"]["io.veloz.role"] for name in running}
    places = {name: set(host.addresses(name).values()) for name in running}
    ports = sorted({port for name in running for port in host.listening(name)} | {22, 80, 443})
    edges = {(edge.source, edge.target, edge.port) for edge in reach.edges(spec)}
    wanted, found = set[tuple[str, str, int]](), set[tuple[str, str, int]]()
    tried = 0
    for source in running:
        owner = {place: name for name in running if name != source for place in places[name]}
        tries = [(place, port) for place in owner for port in ports]
        tried += len(tries)
        found |= {(source, owner[place], port) for place, port in host.reached(source, tries)}
        wanted |= {
            (source, target, port) for target in set(owner.values()) for port in ports
            if (role[source], role[target], port) in edges
        }  # fmt: skip
    figure("connections tried, accepted", f"{tried}, {len(found)}")
    assert found - wanted == set(), "reachable, and not declared"
    assert wanted - found == set(), "declared, and not reachable"
    for name in running:
        addresses = host.inside(name, ["cat", "/proc/net/if_inet6"]).splitlines()
        assert all(line.split()[-1] == "lo" for line in addresses), f"{name} has an IPv6 address"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root looks into the network of a container")
def test_the_declared_sysctls_are_those_inside(deployed: Deployed) -> None:
    spec = deployed.spec
    assert spec.limits.sysctls
    for name in ("balancer", "gateway-1", "gateway-2", "gateway-3"):
        for key, value in spec.limits.sysctls.items():
            inside = host.inside(f"{deployed.name}-{name}", ["cat", f"/proc/sys/{key.replace('.', '/')}"])
            assert inside.split() == value.split(), f"{name}: {key}"


def test_no_secret_is_where_it_can_be_read(deployed: Deployed) -> None:
    """Not in what Docker tells of containers, their logs, their processes, nor in Pulumi's state."""
    values = {
        name: value.splitlines()[1] if value.startswith("-----BEGIN") else value
        for name, value in deployed.secrets.items()
        if name not in {"tls_ca", "tls_certificate"}
    }
    texts = {}
    for name in host.named("container", deployed.name):
        texts[f"inspect {name}"] = json.dumps(host.inspect(name))
        texts[f"logs {name}"] = host.logs(name)
    for name in host.running(deployed.name):
        for process in host.processes(name):
            for file in ("environ", "cmdline"):
                with suppress(FileNotFoundError, ProcessLookupError):  # a health check's, which ended
                    texts[f"{file} of {process} of {name}"] = Path(f"/proc/{process}/{file}").read_text()
    for path in deployed.directory.rglob("*"):
        if path.is_file():
            texts[str(path)] = path.read_text(errors="replace")
    assert [path for path in texts if path.endswith(".json") and "stacks" in path], "no state was found"
    assert not {(name, where) for name, value in values.items() for where, text in texts.items() if value in text}


def _reloads_without_loss(deployed: Deployed) -> None:
    image = deployed.spec.images.nginx
    if deployed.spec.edge.kind == "nginx" and version(image) < NGINX_RELOADS:
        pytest.skip(f"{image} loses requests in a reload; {'.'.join(map(str, NGINX_RELOADS))} and later do not")


def _checked(result: Result, figure: Figure, what: str) -> None:
    figure(f"{what} run", result.summary())
    figure("the machine's load in the last minute", os.getloadavg()[0])
    assert not (found := result.violations()), report(found)
    failed = [f"{call.path} {call.status} {call.error}" for call in result.failed()]
    assert not failed, f"{len(failed)} failed: {failed[:5]}"


async def test_a_rolling_update_fails_no_request(deployed: Deployed, tmp_path: Path, seed: int, figure: Figure) -> None:
    ups: list[dict[str, int]] = []
    ended: list[host.Ended] = []

    async def roll(deployed: Deployed) -> None:
        started = time.monotonic()
        with host.stops(deployed.name) as stopped:
            while not ups or time.monotonic() - started < 1.1 * ROLLING_REQUESTS / RATE:
                deployed.describe(gateways={"settings": {"log_keep_days": len(ups) + 1}})
                ups.append(await asyncio.to_thread(deployed.up))
        ended.extend(stopped)

    result = await campaign(deployed, tmp_path, roll, seed=seed, rate=RATE, by_balancer=True)
    assert all(up["replaced"] == 3 for up in ups), ups
    exits = [it for it in ended if "gateway" in it.name]
    figure("gateways replaced", len(exits))
    figure("slowest exit, s", max(it.seconds for it in exits))
    figure("longest that a stream was away, s", max(result.gaps))
    _checked(result, figure, "rolling update")
    assert result.statuses().total() >= ROLLING_REQUESTS
    assert len(exits) == 3 * len(ups)
    assert {it.status for it in exits} == {0}
    assert max(it.seconds for it in exits) <= EXIT_SECONDS
    assert max(result.gaps) <= AWAY_SECONDS


async def test_more_and_fewer_gateways_fail_no_request(
    deployed: Deployed, tmp_path: Path, seed: int, figure: Figure
) -> None:
    _reloads_without_loss(deployed)
    ups: list[dict[str, int]] = []

    async def resize(deployed: Deployed) -> None:
        for replicas in (4, 3):
            deployed.describe(gateways={"replicas": replicas})
            ups.append(await asyncio.to_thread(deployed.up))

    result = await campaign(deployed, tmp_path, resize, seed=seed, rate=RATE, by_balancer=True)
    _checked(result, figure, "3 to 4 to 3 gateways")
    more, fewer = ups
    assert (more["created"], fewer["deleted"]) == (3, 3)  # a gateway, its files, their volume
    # The balancer's test and its files, then the balancer's files, Prometheus and its files.
    assert more["replaced"] == fewer["replaced"] == 5


async def test_a_reload_of_the_balancer_fails_no_request(
    deployed: Deployed, tmp_path: Path, seed: int, figure: Figure
) -> None:
    """A balancer's reload and a change of the certificate: by `up`, with streams open; the balancer's container stays."""
    _reloads_without_loss(deployed)
    balancer = f"{deployed.name}-balancer"
    began = host.started_at(balancer)
    certificates = {served_certificate(deployed.spec.edge.https_port)}
    ups: list[dict[str, int]] = []

    async def reload(deployed: Deployed) -> None:
        started = time.monotonic()
        while not ups or time.monotonic() - started < 1.1 * RELOAD_REQUESTS / RATE:
            if len(ups) % 2:
                deployed.describe(edge={"tls": {"hsts_seconds": 1000 + len(ups)}})
            else:
                deployed.set_secrets(**deployed.certificate())
            ups.append(await asyncio.to_thread(deployed.up))
            await asyncio.sleep(2.5)  # the watch looks every second, and waits for one that is still
            certificates.add(await asyncio.to_thread(served_certificate, deployed.spec.edge.https_port))

    result = await campaign(deployed, tmp_path, reload, seed=seed, rate=RATE, by_balancer=True)
    _checked(result, figure, "reloads")
    figure("reloads", len(ups))
    assert all(up["replaced"] == 3 for up in ups), ups
    assert host.started_at(balancer) == began
    assert len(certificates) == 1 + (len(ups) + 1) // 2
    assert result.statuses().total() >= RELOAD_REQUESTS


def test_a_configuration_that_the_balancer_refuses_ends_the_update_and_it_goes_on(deployed: Deployed) -> None:
    port, name = deployed.spec.edge.https_port, f"{deployed.name}-balancer"
    served, container = served_certificate(port), host.inspect(name)["Id"]
    good = deployed.secrets["tls_key"]
    deployed.set_secrets(tls_key=generate(deployed.name, ["localhost"]).key)
    try:
        done = deployed.pulumi("up", "--stack", deployed.stack, "--yes", "--skip-preview", check=False)
    finally:
        deployed.set_secrets(tls_key=good)
    assert done.returncode != 0
    said = explain(f"{done.stdout}\n{done.stderr}")
    assert f"{deployed.spec.edge.kind} refuses its new configuration: its test ended with status 1." in said
    assert "tls.crt" in said or "key" in said.partition("last words")[2].partition("Correct")[0], said
    assert (served_certificate(port), host.inspect(name)["Id"]) == (served, container)
    host.docker("restart", name)  # it starts with what it ran before
    eventually(lambda: host.inspect(name)["State"]["Health"]["Status"] == "healthy")
    assert served_certificate(port) == served
    deployed.command("up")
    assert (served_certificate(port), host.inspect(name)["Id"]) == (served, container)


def test_a_release_that_does_not_come_up_takes_one_gateway_however_often_it_is_tried(deployed: Deployed) -> None:
    """Not by Pulumi alone: it holds a container that is there for good, and goes on to the next."""
    first, *others = gateways = [f"{deployed.name}-gateway-{replica}" for replica in (1, 2, 3)]
    began = [host.inspect(name)["Id"] for name in others]
    image = deployed.spec.images.python  # it ends at once, and Docker starts it again
    deployed.describe(images={"veloz": image})
    for attempt in range(2):
        done = deployed.command("up", "--ready-within", "20", check=False)
        assert done.returncode == 1, done.stdout
        assert attempt == 0 or re.search(rf"replace +Container +gateway-1 +{first} ", done.stdout), done.stdout
        assert host.inspect(first)["Config"]["Image"] == image
        assert [host.inspect(name)["Id"] for name in others] == began
    deployed.describe(images={"veloz": ""})
    deployed.command("up")
    assert {host.inspect(name)["State"]["Health"]["Status"] for name in gateways} == {"healthy"}


def test_the_last_gateway_that_serves_is_not_replaced(deployed: Deployed) -> None:
    first, *others = gateways = [f"{deployed.name}-gateway-{replica}" for replica in (1, 2, 3)]
    began = host.inspect(first)["Id"]
    host.docker("stop", *others, seconds=120)
    deployed.describe(gateways={"settings": {"log_keep_events": 1_000_000}})
    refused = deployed.command("up", check=False)
    assert refused.returncode == 1
    assert f"{first} is the only gateway that serves" in refused.stderr
    assert all(f"{name} does not run (exited" in refused.stderr for name in others), refused.stderr
    assert host.inspect(first)["Id"] == began
    host.docker("start", *others)
    deployed.command("up")
    assert {host.inspect(name)["State"]["Health"]["Status"] for name in gateways} == {"healthy"}
    assert host.inspect(first)["Id"] != began


def test_a_rollback_returns_to_the_release_before(deployed: Deployed) -> None:
    gateways = [f"{deployed.name}-gateway-{replica}" for replica in (1, 2, 3)]

    def running() -> list[tuple[list[str], str]]:
        found = [host.inspect(name)["Config"] for name in gateways]
        return [(sorted(it["Env"]), it["Image"]) for it in found]

    deployed.command("up")
    before = running()
    deployed.describe(gateways={"settings": {"log_level": "WARNING"}})
    deployed.command("up")
    assert all(now != then for now, then in zip(running(), before, strict=True))
    deployed.command("rollback")
    assert running() == before


def test_a_store_that_leaves_the_description_and_comes_back_has_its_data(deployed: Deployed) -> None:
    volume, container = f"{deployed.name}-prometheus-data", f"{deployed.name}-prometheus"
    mark = Path(json.loads(host.docker("volume", "inspect", volume))[0]["Mountpoint"], "mark")
    mark.touch()
    deployed.describe(monitoring={"prometheus": False})
    said = deployed.command("up").stdout
    assert f"Volume {volume} holds data and stays on the Docker host" in said
    assert container not in host.named("container", deployed.name)
    assert mark.exists()
    deployed.describe(monitoring={"prometheus": True})
    deployed.command("up")
    assert host.inspect(container)["State"]["Health"]["Status"] == "healthy"
    assert mark.exists()
    assert "Nothing changes." in deployed.command("up").stdout


async def test_old_workers_end_though_a_stream_is_open(deployed: Deployed, figure: Figure) -> None:
    balancer = f"{deployed.name}-balancer"
    before = set(host.processes(balancer))
    stream = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--no-buffer", "--cacert", str(deployed.authority), "--max-time", "90",
        "--header", f"X-API-Key: {deployed.secrets['api_key']}", f"{deployed.url}/api/stream",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert stream.stdout is not None
    await asyncio.wait_for(stream.stdout.readline(), 10)
    deployed.describe(edge={"tls": {"hsts_seconds": 7777}})
    await asyncio.to_thread(deployed.up)
    started = time.monotonic()
    workers = before - {host.process(balancer)}
    after = set(host.processes(balancer))
    while len(after) > len(before) and time.monotonic() - started < OLD_WORKERS_SECONDS:
        await asyncio.sleep(0.5)
        after = set(host.processes(balancer))
    figure("old workers gone after, s", time.monotonic() - started)
    assert len(after) <= len(before)
    assert workers - after, "no worker was replaced"
    with suppress(ProcessLookupError):  # its worker may have ended it
        stream.kill()
    await stream.wait()


async def test_a_hung_gateway_leaves_the_rotation_and_gets_nothing_twice(
    deployed: Deployed, tmp_path: Path, seed: int, rng: random.Random, figure: Figure
) -> None:
    """Each gateway writes a line for each request that it got."""
    deployed.describe(gateways={"settings": {"log_level": "DEBUG"}})
    await asyncio.to_thread(deployed.up)
    await deployed.start()
    hung: list[float] = []
    since = f"{time.time():.3f}"
    victim = f"{deployed.name}-gateway-{rng.randint(1, 3)}"

    async def hang(deployed: Deployed) -> None:
        asking = asyncio.create_task(ask_anew(deployed.url, hung))
        try:
            host.docker("pause", victim)
            await asyncio.sleep(HANGS_SECONDS)
        finally:
            host.docker("unpause", victim)
            asking.cancel()
        await deployed.start()

    result = await campaign(deployed, tmp_path, hang, seed=seed, rate=RATE, by_balancer=True)
    figure("run", result.summary())
    figure("seconds from the pause to the last request that the hung gateway got", max(hung))
    assert not (found := result.violations()), report(found)
    assert max(hung) <= OUT_SECONDS
    sent = sum(
        call.path == "/api/order" and not call.error.startswith(NOT_CONNECTED)
        for facts in result.accounts
        for call in facts.calls
    )
    lines = [
        line
        for replica in (1, 2, 3)
        for line in host.logs(f"{deployed.name}-gateway-{replica}", since).splitlines()
        if '"path":"/api/order"' in line and '"method":"POST"' in line
    ]
    figure("POSTs sent, got", f"{sent}, {len(lines)}")
    assert sent / 2 < len(lines) <= sent


def test_it_goes_and_leaves_its_data_alone(deployed: Deployed) -> None:
    """Without more it keeps its data, and comes back to them; then nothing is left."""
    deployed.command("destroy")
    kept = {f"{deployed.name}-{store}-data" for store in ("postgres", "redis", "prometheus")}
    kept |= {f"{deployed.name}-grafana-data"} if deployed.spec.monitoring.grafana else set()
    assert host.named("container", deployed.name) == set()
    assert host.named("network", deployed.name) == set()
    assert host.named("volume", deployed.name) == kept
    assert "There was nothing to take away." in deployed.command("destroy").stdout
    deployed.command("destroy", CONFIRM=deployed.stack)
    assert host.named("volume", deployed.name) == set()
