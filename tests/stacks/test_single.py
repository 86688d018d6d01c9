"""One container with everything in it."""

from __future__ import annotations

from stacks import document, sizes
from tests.stacks import declared as d
from tests.stacks.declared import CONTAINER, VOLUME, declared, described
from tests.stacks.recorder import configured, record

EXAMPLE = document.STACKS / "Pulumi.single.yaml"


def test_the_example_is_one_container_with_one_volume_of_data() -> None:
    text = EXAMPLE.read_text()
    spec = document.load(text)
    seen = record(config=configured(text, d.secret_values(spec)))
    (container,) = d.lasting(seen)
    assert container.inputs["name"] == "veloz-gateway"
    (files,) = {it.inputs["name"] for it in seen.of(VOLUME)} - {"veloz-data"}
    assert files.startswith("veloz-gateway-files-")
    assert {it.inputs["name"] for it in seen.of(CONTAINER)} == {"veloz-gateway", "veloz-gateway-files"}
    assert container.inputs["image"] == seen.outputs["image"]
    assert container.inputs["ports"] == [{"ip": "127.0.0.1", "external": 8080, "internal": 8080, "protocol": "tcp"}]


def test_it_has_room_for_all_that_is_in_it() -> None:
    (container,) = d.lasting(declared(described(topology="single")))
    parts = sizes.PROFILES["minimum"]
    assert container.inputs["memory"] == sum(parts[it].memory for it in ("gateway", "engine", "postgres", "redis"))


def test_it_has_time_to_stop_its_stores_after_the_gateway() -> None:
    (container,) = d.lasting(declared(described(topology="single")))
    assert container.inputs["stopTimeout"] >= 60
    assert container.inputs["init"] is True


def test_the_image_is_built_from_this_tree() -> None:
    text = EXAMPLE.read_text()
    seen = record(config=configured(text, d.secret_values(document.load(text))))
    (image,) = seen.of("docker:index/image:Image")
    assert image.inputs["build"]["target"] == "single"
    (container,) = d.lasting(seen)
    assert container.inputs["image"] == image.inputs["imageName"] == seen.outputs["image"]
