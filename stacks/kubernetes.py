"""A deployment as objects of Kubernetes, all in one namespace."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Final

import pulumi
from pulumi_kubernetes.core import v1 as core

from stacks import files as contents
from stacks import names, stores
from stacks.components.k8s import mounts
from stacks.components.k8s.balancer import balancer
from stacks.components.k8s.balancer import files as balancer_files
from stacks.components.k8s.gateway import EVERY, gateway
from stacks.components.k8s.ingress import ingress
from stacks.components.k8s.monitoring import grafana, prometheus
from stacks.components.k8s.namespace import Scope, namespace
from stacks.components.k8s.network import network_policies
from stacks.components.k8s.postgres import postgres
from stacks.components.k8s.redis import redis
from stacks.endpoints import Endpoints
from stacks.files import File
from stacks.monitoring import grafana as panels
from stacks.monitoring import scrape
from stacks.secrets import Secrets
from stacks.spec import Deployment, Role


def deploy(spec: Deployment, secrets: Secrets, image: pulumi.Input[str]) -> Endpoints:
    files = {role: _files(spec, secrets, role) for role in spec.roles}
    scope = namespace(spec)
    # Before the first pod there are the rules for it, and its secrets.
    scope = scope.after([*network_policies(scope), *_secrets(scope, tuple(chain(*files.values())))])
    ...
