"""What `up` says of a deployment when it is there; the commands and the tests read it as the stack's outputs."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from typing import Final

import pulumi

from app.migrate import read_migrations
from stacks import ports
from stacks.spec import EVERY_ADDRESS, Deployment
from stacks.this_machine import docker_host

_USUAL_PORTS: Final = {"http": ports.HTTP, "https": ports.HTTPS}


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """`address` and `port`: where to connect; `url`: what the certificate is for. `schema`: the newest migration's number.

    It is None of a named image: that knows its own, which its label and its gateways say.
    """

    name: str
    url: str
    address: pulumi.Input[str]
    port: int
    image: pulumi.Input[str]
    schema: int | None

    def export(self) -> None:
        for field in fields(self):
            pulumi.export(field.name, getattr(self, field.name))


def docker_endpoints(spec: Deployment, image: pulumi.Input[str]) -> Endpoints:
    """Of containers: what is published on the host."""
    return endpoints(spec, image, _host(spec))


def endpoints(spec: Deployment, image: pulumi.Input[str], address: pulumi.Input[str]) -> Endpoints:
    scheme, port = ("https", spec.edge.https_port) if spec.encrypted else ("http", spec.edge.http_port)
    place = spec.edge.hostname if port == _USUAL_PORTS[scheme] else f"{spec.edge.hostname}:{port}"
    schema = None if spec.images.veloz else read_migrations()[-1].version
    return Endpoints(name=spec.name, url=f"{scheme}://{place}", address=address, port=port, image=image, schema=schema)


def _host(spec: Deployment) -> str:
    """The published address, as it is reached from here: DOCKER_HOST is what commands and Pulumi's Docker go by."""
    if spec.edge.address not in EVERY_ADDRESS:
        return spec.edge.address
    return docker_host(spec.docker.host or os.environ.get("DOCKER_HOST", "")) or "127.0.0.1"
