"""The gateways on this machine."""

import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from http import HTTPStatus
from math import inf
from pathlib import Path
from typing import Final, NamedTuple, Self

from app.child import Child, ChildError, await_ready, bound_to_us, start, stop
from app.local_options import HOST, reached_at

ROOT: Final = Path(__file__).resolve().parent.parent
COMMAND: Final = (sys.executable, "-m", "app", "gateway")
# One that ends sooner after it was started again would only do so once more.
SETTLED_SECONDS: Final = 10


class Place(NamedTuple):
    """A gateway's name and its port."""

    name: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


class Gateways:
    """From `with`, which they leave ready, until its end, where all drain at once.

    `gateways` 1: a gateway that works alone, on `host` and `port`. More: gateway-1, gateway-2, …, on loopback, on ports
    that were free. Each has its own log; without `log_files` all write to our own output.
    """

    def __init__(
        self,
        data_dir: Path,
        variables: Mapping[str, str],
        gateways: int,
        port: int,
        *,
        host: str = HOST,
        log_files: bool = True,
    ) -> None:
        self._data_dir = data_dir
        self._variables = variables
        self._alone = gateways == 1
        self._host = host if self._alone else HOST
        self._log_files = log_files
        ports = [port] if self._alone else _free_ports(gateways)
        names = ["gateway"] if self._alone else [f"gateway-{number}" for number in range(1, gateways + 1)]
        self.places = tuple(Place(name, port) for name, port in zip(names, ports, strict=True))
        self._children: dict[str, Child] = {}
        self._again: dict[str, float] = {}

    def __enter__(self) -> Self:
        try:
            for place in self.places:
                self._start(place)
            for place in self.places:
                await_answer(self._children[place.name], self._host, place.port)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        stop(*self._children.values())

    @property
    def children(self) -> list[Child]:
        return list(self._children.values())

    def restart(self, ended: Child) -> None:
        """Start one again that ended by itself; meanwhile the others serve. Raises ChildError when that is no use."""
        place = next((place for place in self.places if self._children[place.name] is ended), None)
        now = time.monotonic()
        if place is None or self._alone or now - self._again.get(place.name, -inf) < SETTLED_SECONDS:
            log = f"; its log is {ended.log}" if ended.log else ""
            msg = f"{ended.name} ended by itself with status {ended.process.wait()}{log}"
            raise ChildError(msg)
        ended.process.wait()
        self._again[place.name] = now
        self._start(place)

    def _start(self, place: Place) -> None:
        variables = {**self._variables, "VELOZ_HOST": self._host, "VELOZ_PORT": str(place.port)}
        if not self._alone:
            variables["VELOZ_GATEWAY_ID"] = place.name
            variables["VELOZ_ADVERTISE_URL"] = place.url
            variables["VELOZ_TRUSTED_PROXIES"] = HOST
        command = bound_to_us([*COMMAND], signal.SIGTERM)
        log = self._data_dir / f"{place.name}.log" if self._log_files else None
        name = "The gateway" if self._alone else f"The gateway {place.name}"
        self._children[place.name] = start(name, command, log, signal.SIGTERM, env=_environment(variables))


def await_answer(child: Child, host: str, port: int) -> None:
    """Return when what listens on `host` and `port` says it is ready. Raises ChildError when the child ends before."""
    await_ready(child, lambda: _is_ready(f"http://{reached_at(host)}:{port}/health/ready"))


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 (our own address)
            return bool(answer.status == HTTPStatus.OK)
    except (urllib.error.URLError, TimeoutError):  # nobody listens yet, or 503 while it recovers
        return False


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Ours above the user's. A secret given both as NAME and as NAME_FILE is refused, so ours stand in for either form."""
    others = {f"{name}_FILE" for name in variables} | {name.removesuffix("_FILE") for name in variables}
    env = {name: value for name, value in os.environ.items() if name not in others}
    python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return env | {**variables, "PYTHONPATH": python_path}


def _free_ports(count: int) -> list[int]:
    """Different ones, because all are taken before the first is given up."""
    with ExitStack() as stack:
        return [stack.enter_context(socket.create_server((HOST, 0))).getsockname()[1] for _ in range(count)]
