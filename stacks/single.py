"""One container with everything in it, for one machine's own use."""

from __future__ import annotations

import pulumi

from stacks.components.gateway import everything
from stacks.components.network import ground
from stacks.endpoints import Endpoints, docker_endpoints
from stacks.secrets import Secrets
from stacks.spec import Deployment


def deploy(spec: Deployment, secrets: Secrets, image: pulumi.Input[str]) -> Endpoints:
    everything(ground(spec), secrets, image)
    return docker_endpoints(spec, image)
