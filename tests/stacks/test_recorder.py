"""The recorder sees what Pulumi's engine would."""

from __future__ import annotations

import pulumi
import pulumi_docker as docker
import pytest

from tests.stacks.recorder import configured, record

STACK = "config:\n  veloz:deployment: {topology: single}\n"


def program() -> None:
    config = pulumi.Config("veloz")
    secrets = config.require_secret_object("secrets")
    volume = docker.Volume("data", name="v-data", opts=pulumi.ResourceOptions(protect=True))
    docker.Container(
        "c",
        name="v-c",
        image="x:1",
        memory=512,
        mounts=[{"target": "/d", "type": "volume", "source": volume.name}],
        uploads=[{"file": "/run/a", "content": secrets["a"]}],
        opts=pulumi.ResourceOptions(delete_before_replace=True, replace_with=[volume]),
    )
    pulumi.export("topology", config.require_object("deployment")["topology"])


def test_inputs_dependencies_options_and_secrets_are_recorded() -> None:
    seen = record(program, configured(STACK, {"a": "hidden"}))
    container = seen.named("c")
    assert container.type == "docker:index/container:Container"
    assert repr(container.inputs["memory"]) == "512"
    assert container.inputs["uploads"] == [{"file": "/run/a", "content": "hidden"}]
    assert container.secret("uploads", 0, "content")
    assert not container.secret("memory")
    assert container.depends_on == {"data"}
    assert container.uses == {"mounts": {"data"}}
    assert container.replace_with == {"data"}
    assert container.delete_before_replace
    assert seen.named("data").protect
    assert seen.outputs == {"topology": "single"}


def test_programs_do_not_see_each_other() -> None:
    assert record(program, configured(STACK, {"a": "1"})) == record(program, configured(STACK, {"a": "1"}))


async def test_a_test_may_have_a_loop_of_its_own() -> None:
    assert record(program, configured(STACK, {"a": "1"})).of("docker:index/volume:Volume")


def test_what_the_program_raises_is_raised() -> None:
    with pytest.raises(pulumi.ConfigMissingError):
        record(program, configured(STACK))
