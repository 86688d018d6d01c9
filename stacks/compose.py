"""Containers on one host: a balancer before several gateways, their stores, and who watches them."""

from __future__ import annotations

import pulumi

from stacks.components.balancer import balancer
from stacks.components.gateway import gateways
from stacks.components.monitoring import grafana, prometheus
from stacks.components.network import ground
from stacks.components.postgres import postgres
from stacks.components.redis import redis
from stacks.endpoints import Endpoints, docker_endpoints
from stacks.secrets import Secrets
from stacks.spec import Deployment


def deploy(spec: Deployment, secrets: Secrets, image: pulumi.Input[str]) -> Endpoints:
    """In the order in which they need each other."""
    base = ground(spec)
    stores = []
    if spec.replicas("postgres"):
        stores.append(postgres(base, secrets))
    if spec.replicas("redis"):
        stores.append(redis(base, secrets))
    serving = gateways(base, secrets, image, stores)
    balancer(base, secrets, serving)
    if spec.replicas("prometheus"):
        prometheus(base)
    if spec.replicas("grafana"):
        grafana(base, secrets)
    return docker_endpoints(spec, image)
