"""What the real program declares for a description, and how the tests look at it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

import msgspec
import yaml

from stacks import names
from stacks.document import load
from stacks.secrets import required
from stacks.spec import Deployment, Role
from tests.stacks.recorder import Recording, Resource, configured, record

CONTAINER: Final = "docker:index/container:Container"
NETWORK: Final = "docker:index/network:Network"
VOLUME: Final = "docker:index/volume:Volume"
IMAGE: Final = "registry.example/veloz:1"


def described(**deployment: Any) -> Deployment:  # noqa: ANN401 - as a stack file has it
    """A valid description whose image is there."""
    return load({**deployment, "images": {"veloz": IMAGE} | deployment.get("images", {})})


def secret_values(spec: Deployment) -> dict[str, str]:
    """One for each name, which occurs nowhere else."""
    pem = "-----BEGIN {0}-----\n{{}}\n-----END {0}-----\n"
    around = {
        "postgres_dsn": f"postgresql://veloz:{{}}@{spec.postgres.host}:{spec.postgres.port}/veloz",
        "redis_url": f"redis://:{{}}@{spec.redis.host}:{spec.redis.port}/0",
        "tls_certificate": pem.format("CERTIFICATE"),
        "tls_ca": pem.format("CERTIFICATE"),
        "tls_key": pem.format("PRIVATE KEY"),
    }
    return {name: around.get(name, "{}").format(hashlib.sha256(name.encode()).hexdigest()) for name in required(spec)}


def declare(spec: Deployment, secrets: Mapping[str, str] | None = None, **options: Any) -> Recording:  # noqa: ANN401
    config: dict[str, Any] = {"veloz:deployment": msgspec.to_builtins(spec)}
    return record(config=configured(config, secret_values(spec) if secrets is None else secrets), **options)


@cache
def declared_text(text: bytes) -> Recording:
    return declare(load(msgspec.json.decode(text)))


def declared(spec: Deployment) -> Recording:
    """The same description is declared once."""
    return declared_text(msgspec.json.encode(spec))


def label(resource: Resource, name: str) -> str | None:
    return next((it["value"] for it in resource.inputs["labels"] if it["label"] == f"io.veloz.{name}"), None)


def carriers(recording: Recording) -> tuple[Resource, ...]:
    """Those that are never started."""
    return tuple(it for it in recording.of(CONTAINER) if it.inputs.get("start") is False)


def started(recording: Recording) -> tuple[Resource, ...]:
    return tuple(it for it in recording.of(CONTAINER) if it.inputs.get("start") is not False)


def lasting(recording: Recording) -> tuple[Resource, ...]:
    return tuple(it for it in started(recording) if it.inputs.get("mustRun") is not False)


def of_role(recording: Recording, role: Role) -> tuple[Resource, ...]:
    return tuple(it for it in lasting(recording) if label(it, "role") == role)


def environment(container: Resource) -> dict[str, str]:
    return dict(text.split("=", 1) for text in container.inputs.get("envs", []))


def addresses(container: Resource) -> dict[str, str]:
    """Network → address."""
    return {it["name"]: it["ipv4Address"] for it in container.inputs.get("networksAdvanced", [])}


def uploads(recording: Recording, part: str) -> dict[str, str]:
    """The files of a part, by path."""
    return {it["file"]: it["content"] for it in recording.named(f"{part}-files").inputs["uploads"]}


def files_volume(recording: Recording, part: str) -> str:
    """What the volume of a part's files is called, without the deployment's name."""
    return names.files_volume(part, uploads(recording, part))


def listening(recording: Recording, container: Resource) -> Iterator[tuple[str, int]]:
    """Where it is told to listen for others, read from what it is told."""
    told, inputs = environment(container), container.inputs
    match label(container, "role"):
        case "gateway":
            yield told["VELOZ_HOST"], int(told["VELOZ_PORT"])
        case "postgres":
            options = dict(text.split("=", 1) for text in inputs["command"] if "=" in text)
            yield options["listen_addresses"], int(options["port"])
        case "redis":
            config = uploads(recording, "redis")["/run/veloz/redis.conf"]
            options = dict(line.split(" ", 1) for line in config.splitlines())
            yield options["bind"], int(options["port"])
        case "prometheus":
            options = dict(text.split("=", 1) for text in inputs["command"])
            host, port = options["--web.listen-address"].rsplit(":", 1)
            yield host, int(port)
        case "grafana":
            yield told["GF_SERVER_HTTP_ADDR"], int(told["GF_SERVER_HTTP_PORT"])
        case "balancer":
            for port in container.inputs["ports"]:
                yield addresses(container)[f"{label(container, 'deployment')}-edge"], port["internal"]


def scraped(recording: Recording) -> set[str]:
    config = yaml.safe_load(uploads(recording, "prometheus")["/run/veloz/prometheus.yml"])
    return {target for job in config["scrape_configs"] for of in job["static_configs"] for target in of["targets"]}
