"""A stack that Pulumi really brings up on a cluster whose node is this machine."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import aiohttp
import aiohttp.connector

from stacks import names, ports
from stacks.commands.certificates import generate
from tests.e2e import cluster_host
from tests.e2e.cluster_host import Pod, kubectl
from tests.e2e.deployment import ROOT, Deployed
from tests.faults.waiting import until

PLUGIN = "kubernetes"
HOSTNAME = "veloz.test"
# Brings an image of the Docker daemon to the nodes, its name being the last argument; e.g. `kind load docker-image`.
LOAD = os.environ.get("VELOZ_E2E_LOAD", "")
# Small enough for seven pods and one more on two cores.
SIZES: dict[str, dict[str, int]] = {
    "gateway": {"cpu": 120, "memory": 256},
    "engine": {"cpu": 180, "memory": 192},
    "postgres": {"cpu": 250, "memory": 512, "disk": 1024},
    "redis": {"cpu": 50, "memory": 64, "disk": 256},
    "prometheus": {"cpu": 50, "memory": 256, "disk": 1024},
    "balancer": {"cpu": 200, "memory": 128},
    "grafana": {"cpu": 100, "memory": 256},
}
DOCUMENT: dict[str, Any] = {
    "topology": "kubernetes",
    "sizes": SIZES,
    "edge": {"hostname": HOSTNAME, "replicas": 2},
    "monitoring": {"prometheus": True, "grafana": False},
    "kubernetes": {"pod_networks": ["10.244.0.0/16"], "cpu_burst": 6},
}


def missing() -> str:
    """Why nothing can be brought up here; empty when it can."""
    if not os.environ.get("VELOZ_E2E"):
        return "real deployments are brought up by `make e2e` (VELOZ_E2E=1)"
    for program in ("docker", "pulumi", "kubectl", f"pulumi-resource-{PLUGIN}"):
        if not shutil.which(program):
            return f"{program} is not installed"
    done = cluster_host.run("get", "nodes", "--output", "name", "--request-timeout", "5s")
    if done.returncode:
        return f"no cluster answers kubectl: {done.stderr.strip()[-200:]}"
    if len(done.stdout.split()) != 1:
        return "the cluster has several nodes; these tests look at the pods' processes on the one that they run on"
    if not LOAD:
        return "VELOZ_E2E_LOAD does not say how images get to the node"
    return ""


class OnCluster(Deployed):
    """Its namespace has the stack's name. Leaving it removes that, and with it everything."""

    def __init__(self, directory: Any, document: Mapping[str, Any] = DOCUMENT) -> None:  # noqa: ANN401 - a Path
        super().__init__(directory, document)
        self.address = ""

    def __exit__(self, *_: object) -> None:
        cluster_host.run("delete", "namespace", self.name, "--ignore-not-found", "--timeout", "120s", seconds=150)
        self.remove_files()

    def build(self) -> str:
        """VeloZ's image of this tree, on the node; and the other images."""
        done = subprocess.run(
            [sys.executable, "-m", "stacks.images", str(self.file)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            timeout=1200,
            check=True,
        )
        image = done.stdout.strip()
        self.describe(images={"veloz": image})
        images = self.spec.images
        there = cluster_host.images()
        for each in {image, images.haproxy, images.postgres, images.redis, images.prometheus} - there:
            subprocess.run([*shlex.split(LOAD), each], timeout=300, check=True)
        return image

    def certificate(self) -> dict[str, str]:
        """A new one by a new authority, valid for the address too once there is one."""
        made = generate(self.name, [HOSTNAME, *([self.address] if self.address else [])])
        self.authority.write_text(made.authority)
        aiohttp.connector._SSL_CONTEXT_VERIFIED.load_verify_locations(cadata=made.authority)
        return {"tls_certificate": made.certificate, "tls_key": made.key, "tls_ca": made.authority}

    # Where it is

    @property
    def url(self) -> str:
        return f"https://{self.address}"

    @property
    def pods(self) -> list[Pod]:
        return cluster_host.pods(self.name, "gateway")

    @property
    def gateways(self) -> dict[str, str]:
        return {pod.name: pod.address for pod in self.pods if pod.ready}

    def urls(self) -> list[str]:
        return [f"http://{address}:{ports.GATEWAY}" for address in self.gateways.values()]

    async def start(self) -> None:
        """Wait until as many gateways as described are ready, each asked at its own address, and the balancer's way."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:

            async def ready() -> bool:
                urls = self.urls()
                if len(urls) < self.spec.gateways.replicas or len(urls) < len(self.pods):
                    return False
                try:
                    for url in (*urls, self.url):
                        async with session.get(f"{url}/health/ready") as answer:
                            if answer.status != HTTPStatus.OK:
                                return False
                except (aiohttp.ClientError, TimeoutError):
                    return False
                return True

            await until(ready, seconds=120, every=0.5)

    def server(self) -> str:
        """The DSN of the database as this machine reaches it."""
        (server,) = cluster_host.pods(self.name, "postgres")
        password = self.secrets["postgres_password"]
        return f"postgresql://{names.DATABASE}:{password}@{server.address}:{ports.POSTGRES}/{names.DATABASE}"

    def given_address(self) -> str:
        """Of the load balancer, by the cluster's word."""
        service = ("service/veloz-balancer", "--namespace", self.name)
        kubectl("wait", "--for=jsonpath={.status.loadBalancer.ingress}", *service, "--timeout=60s")
        return kubectl("get", *service, "--output", "jsonpath={.status.loadBalancer.ingress[0].ip}")

    def reachable(self) -> bool:
        """Whether this machine reaches pods."""
        return all(_accepts(pod.address, ports.GATEWAY) for pod in self.pods)

    def rolled_out(self, role: str) -> None:
        kubectl(
            "rollout", "status", f"deployment/{names.object_name(role)}", "--namespace", self.name,  # type: ignore[arg-type]
            "--timeout", "180s", seconds=200,
        )  # fmt: skip


def _accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True
