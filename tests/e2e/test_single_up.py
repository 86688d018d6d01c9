"""Single, really brought up: one container with everything in it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.migrate import read_migrations
from stacks.images.recipe import SCHEMA_LABEL
from stacks.units import bytes_of
from tests.e2e import docker_host as host
from tests.e2e.deployment import PREVIEW_SECONDS, Deployed, free_subnet, missing, two_ports
from tests.faults.scale import Figure

pytestmark = [pytest.mark.alone, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    if why := missing():
        pytest.skip(why)
    document = {"topology": "single", "edge": {"http_port": two_ports()[0]}, "docker": {"subnet": free_subnet()}}
    with Deployed(tmp_path_factory.mktemp("state"), document) as made:
        made.up()
        yield made


async def test_it_serves(deployed: Deployed) -> None:
    steps = await deployed.smoke()
    assert [step for step in steps if step.startswith("cancellation: CANCELLED")], steps


def test_a_second_up_changes_nothing(deployed: Deployed) -> None:
    assert set(deployed.up()) == {"unchanged"}
    assert set(deployed.up("--refresh")) == {"unchanged"}


def test_a_preview_is_quick(deployed: Deployed, figure: Figure) -> None:
    figure("preview, quickest of 3, s", quickest := deployed.quickest_preview())
    assert quickest <= PREVIEW_SECONDS


def test_it_is_published_on_loopback_alone(deployed: Deployed) -> None:
    found = host.inspect(f"{deployed.name}-gateway")
    edge = deployed.spec.edge
    assert found["NetworkSettings"]["Ports"] == {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(edge.http_port)}]}
    assert found["HostConfig"]["ReadonlyRootfs"]


async def test_another_setting_replaces_it_and_its_orders_stay(deployed: Deployed, figure: Figure) -> None:
    before = deployed.ask_json("/api/account")
    deployed.describe(gateways={"settings": {"log_keep_days": 1}})
    with host.stops(deployed.name) as ended:
        assert deployed.up()["replaced"] == 1
    figure("single stops within, s", ended[0].seconds)
    assert [it.status for it in ended] == [0]
    await deployed.start()
    assert deployed.ask_json("/api/account")["balances"] == before["balances"]
    assert await deployed.smoke()


def test_a_rollback_returns_to_the_release_before_with_its_orders(deployed: Deployed) -> None:
    name = f"{deployed.name}-gateway"
    deployed.command("up")
    before, orders = host.inspect(name)["Config"], deployed.ask_json("/api/orders_state")
    deployed.describe(gateways={"settings": {"log_level": "WARNING"}})
    deployed.command("up")
    assert host.inspect(name)["Config"]["Env"] != before["Env"]
    said = deployed.command("rollback").stdout
    after = host.inspect(name)["Config"]
    assert (after["Env"], after["Image"]) == (before["Env"], before["Image"]), said
    names = {order["client_order_id"] for order in deployed.ask_json("/api/orders_state")["items"]}
    assert {order["client_order_id"] for order in orders["items"]} <= names
    deployed.command("up")  # the stack file stayed as it was
    deployed.up()  # and Pulumi alone, which is not told of a daemon by DOCKER_HOST


def test_a_second_stack_of_its_name_takes_nothing_of_it(deployed: Deployed, tmp_path: Path) -> None:
    """Neither its volumes at `up` nor its data at `destroy`."""
    name = f"{deployed.name}-gateway"
    running, volumes = host.inspect(name)["Id"], host.named("volume", deployed.name)
    edge = {"http_port": two_ports()[0]}
    with Deployed(tmp_path, {"topology": "single", "edge": edge, "docker": {"subnet": free_subnet()}}) as second:
        second.describe(name=deployed.name)
        for command, confirm in (("preview", ""), ("up", ""), ("destroy", ""), ("destroy", second.stack)):
            refused = second.command(command, check=False, CONFIRM=confirm)
            assert refused.returncode == 1, command
            assert f"{name}: there already" in refused.stderr or f"{name}, {name}-files: there" in refused.stderr
            assert f"the state of stack {second.stack} does not know" in refused.stderr
    assert host.inspect(name)["Id"] == running
    assert host.named("volume", deployed.name) == volumes


def test_another_size_is_what_the_kernel_has(deployed: Deployed) -> None:
    """Memory in place; CPU, which the provider cannot change so, in another container."""
    name = f"{deployed.name}-gateway"
    began = host.started_at(name)
    more = deployed.spec.size("gateway").memory + 64
    deployed.describe(sizes={"gateway": {"memory": more}})
    assert deployed.up()["updated"] == 1
    assert host.started_at(name) == began
    assert host.inspect(name)["HostConfig"]["Memory"] == bytes_of(deployed.spec.container_size("gateway").memory)
    deployed.describe(sizes={"gateway": {"cpu": 450}})
    assert deployed.up()["replaced"] == 1
    told = host.inspect(name)["HostConfig"]
    assert told["CpuQuota"] / told["CpuPeriod"] == deployed.spec.container_size("gateway").cpu / 1000
    assert told["Memory"] == bytes_of(deployed.spec.container_size("gateway").memory)
    assert set(deployed.up("--refresh")) == {"unchanged"}


def test_an_image_that_is_gone_is_built_again(deployed: Deployed) -> None:
    """The container runs on without it; but no other one could be made, and pulumi does not look."""
    name = f"{deployed.name}-gateway"
    image, began = host.inspect(name)["Config"]["Image"], host.started_at(name)
    host.docker("image", "rm", "--force", image)
    assert "it is not on the Docker host any more" in deployed.command("preview").stdout
    deployed.command("up")
    assert image in host.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
    assert host.started_at(name) == began
    assert "Nothing changes." in deployed.command("preview").stdout


def test_a_rollback_across_a_migration_is_refused_and_changes_nothing(deployed: Deployed) -> None:
    """To an image that says it knows fewer migrations than there are; what is in it is today's, so that it serves."""
    name = f"{deployed.name}-gateway"
    built = host.inspect(name)["Config"]["Image"]
    older = f"veloz-single:0.0.1-{deployed.name}"
    few = f"FROM {built}\nLABEL {SCHEMA_LABEL}={len(read_migrations()) - 1}\n"
    subprocess.run(["docker", "build", "--quiet", "--tag", older, "-"], input=few, text=True, check=True)
    try:
        deployed.describe(images={"veloz": older})
        deployed.command("up")
        deployed.describe(images={"veloz": ""})
        deployed.command("up")
        began = host.started_at(name)
        refused = deployed.command("rollback", check=False)
        assert refused.returncode == 1
        said = refused.stdout + refused.stderr
        assert f"knows the schema up to migration {len(read_migrations()) - 1}, and the database has" in said
        assert "Traceback" not in said
        assert (host.started_at(name), host.inspect(name)["Config"]["Image"]) == (began, built)
        # What the gateways said of themselves is in the records.
        known = [json.loads(line) for line in deployed.records.read_text().splitlines()[-2:]]
        assert [(one["witness"], one["database"]) for one in known] == [("gateways", len(read_migrations()))] * 2
    finally:
        subprocess.run(["docker", "image", "rm", older], capture_output=True, check=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root looks into the network of a container")
def test_the_declared_sysctls_are_those_inside(deployed: Deployed) -> None:
    for key, value in deployed.spec.limits.sysctls.items():
        inside = host.inside(f"{deployed.name}-gateway", ["cat", f"/proc/sys/{key.replace('.', '/')}"])
        assert inside.split() == value.split(), key


def test_no_secret_is_where_it_can_be_read(deployed: Deployed) -> None:
    key = deployed.secrets["api_key"]
    assert key not in json.dumps(host.inspect(f"{deployed.name}-gateway"))
    assert key not in host.logs(f"{deployed.name}-gateway")
    assert not [path for path in deployed.directory.rglob("*") if path.is_file() and key in path.read_text()]


def test_it_goes_and_leaves_its_data_alone(deployed: Deployed) -> None:
    deployed.command("destroy")
    assert host.named("container", deployed.name) == set()
    assert host.named("network", deployed.name) == set()
    assert host.named("volume", deployed.name) == {f"{deployed.name}-data"}
    assert "There was nothing to take away." in deployed.command("destroy").stdout
    deployed.command("destroy", CONFIRM=deployed.stack)
    assert host.named("volume", deployed.name) == set()
