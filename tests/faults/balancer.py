"""A real nginx or HAProxy before the gateways, with the configuration that deployments have."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from grp import getgrgid
from pathlib import Path

from app.child import bound_to_us
from stacks.balancer import Balancer as Model
from stacks.balancer import Kind, Server
from stacks.programs import find
from tests.faults.gateway import free_port

START_SECONDS = 10


class Balancer:
    """Started at once; `url` is where clients go. `settings` are a gateway's durations that the model shares."""

    def __init__(self, kind: Kind, directory: Path, ports: Sequence[int], settings: Mapping[str, float]) -> None:
        self.kind = kind
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = directory / f"{kind}.log"
        home = directory / kind
        home.mkdir()
        nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        model = Model(
            port=self.port,
            gateways=tuple(Server(f"gateway-{n}", "127.0.0.1", port) for n, port in enumerate(ports)),
            workers=1,
            user=nobody.pw_name if nobody else "",
            group=getgrgid(nobody.pw_gid).gr_name if nobody else "",
            **settings,  # type: ignore[arg-type] # of the model's fields
        )
        program = find(kind)
        program.configure(model, home)
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                bound_to_us(program.command(home), signal.SIGTERM),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._await_listening()

    def _await_listening(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{self.kind} does not listen: {self._log.read_text()}") from None
            time.sleep(0.02)

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
