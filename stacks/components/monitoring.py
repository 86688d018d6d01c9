"""Prometheus and Grafana. Neither is published; the host itself reaches both at their addresses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pulumi
import pulumi_docker as docker

from stacks import names, ports
from stacks.components.container import Part, container
from stacks.components.files import carrier, volume
from stacks.components.network import Ground
from stacks.monitoring import grafana as panels
from stacks.monitoring import prometheus as scrapes
from stacks.secrets import Secrets

_PROMETHEUS_USER: Final = "65534:65534"
_GRAFANA_USER: Final = "472:0"


def prometheus(ground: Ground, after: Sequence[pulumi.Resource] = ()) -> docker.Container:
    spec = ground.spec
    image = spec.images.prometheus
    addresses = [names.host(spec, "gateway", replica) for replica in range(1, spec.gateways.replicas + 1)]
    here = f"http://{names.host(spec, 'prometheus')}:{ports.PROMETHEUS}"
    part = Part(
        name="prometheus",
        role="prometheus",
        image=image,
        size=spec.size("prometheus"),
        user=_PROMETHEUS_USER,
        # It answers queries. `promtool check healthy` is not in every version.
        health=("promtool", "query", "instant", here, "vector(1)"),
        command=scrapes.arguments(spec),
        files=carrier(ground, "prometheus", "prometheus", image, scrapes.files(spec, addresses)),
        data={scrapes.VOLUME: volume(ground, "prometheus-data", "prometheus", data=True)},
    )
    return container(ground, part, after)


def grafana(ground: Ground, secrets: Secrets, after: Sequence[pulumi.Resource] = ()) -> docker.Container:
    spec = ground.spec
    image = spec.images.grafana
    if secrets.grafana_password is None:
        raise ValueError("the secret grafana_password is missing")  # Secrets.from_config refuses that
    part = Part(
        name="grafana",
        role="grafana",
        image=image,
        size=spec.size("grafana"),
        user=_GRAFANA_USER,
        health=("wget", "-q", "-O", "/dev/null", f"http://{names.listen(spec, 'grafana')}:{ports.GRAFANA}/api/health"),
        environment=panels.environment(spec),
        files=carrier(ground, "grafana", "grafana", image, panels.files(spec, secrets.grafana_password)),
        data={panels.VOLUME: volume(ground, "grafana-data", "grafana", data=True)},
    )
    return container(ground, part, after)
