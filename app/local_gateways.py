"""The gateways on this machine, and the balancer before several of them."""

import os
import pwd
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from grp import getgrgid
from http import HTTPStatus
from pathlib import Path
from typing import Final, Self

from app.child import Child, ChildError, await_ready, bound_to_us, running, start, stop
from app.local_options import HOST
from stacks.balancer import Balancer, Server
from stacks.programs import Program

ROOT: Final = Path(__file__).resolve().parent.parent
# One that ends sooner after its start would only do so again.
SETTLED_SECONDS: Final = 10


class Gateways:
    """From `with`, which they leave ready, until its end, where all drain at once; each has its own log.

    `gateways` 1: a gateway that works alone, on `port`. More: gateway-1, gateway-2, …, on ports that were free.
    """

    def __init__(self, data_dir: Path, variables: Mapping[str, str], gateways: int, port: int) -> None:
        self._data_dir = data_dir
        self._variables = variables
        self._alone = gateways == 1
        ports = [port] if self._alone else _free_ports(gateways)
        names = ["gateway"] if self._alone else [f"gateway-{number}" for number in range(1, gateways + 1)]
        self.servers = tuple(Server(name, HOST, port) for name, port in zip(names, ports, strict=True))
        self._children: dict[str, Child] = {}
        self._started: dict[str, float] = {}

    def __enter__(self) -> Self:
        try:
            for server in self.servers:
                self._start(server)
            for server in self.servers:
                await_answer(self._children[server.name], server.port)
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
        server = next((server for server in self.servers if self._children[server.name] is ended), None)
        if server is None or self._alone or time.monotonic() - self._started[server.name] < SETTLED_SECONDS:
            msg = f"{ended.name} ended by itself with status {ended.process.wait()}; its log is {ended.log}"
            raise ChildError(msg)
        ended.process.wait()
        self._start(server)

    def _start(self, server: Server) -> None:
        variables = {**self._variables, "VELOZ_HOST": HOST, "VELOZ_PORT": str(server.port)}
        if not self._alone:
            variables["VELOZ_GATEWAY_ID"] = server.name
            variables["VELOZ_ADVERTISE_URL"] = f"http://{server.address}"
            variables["VELOZ_TRUSTED_PROXIES"] = HOST
        command = bound_to_us([sys.executable, "-m", "app", "gateway"], signal.SIGTERM)
        log = self._data_dir / f"{server.name}.log"
        name = "The gateway" if self._alone else f"The gateway {server.name}"
        self._children[server.name] = start(name, command, log, signal.SIGTERM, env=_environment(variables))
        self._started[server.name] = time.monotonic()


@contextmanager
def balanced(program: Program, data_dir: Path, port: int, servers: tuple[Server, ...]) -> Iterator[Child]:
    """The balancer on `port`, running."""
    directory = data_dir / "balancer"
    directory.mkdir(mode=0o700, exist_ok=True)
    # Its master stays what we are; the workers, which meet the clients, are nobody when we are root.
    nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    model = Balancer(
        host=HOST,
        port=port,
        gateways=servers,
        workers=1,
        user=nobody.pw_name if nobody else "",
        group=getgrgid(nobody.pw_gid).gr_name if nobody else "",
    )
    program.configure(model, directory)
    command = bound_to_us(program.command(directory), signal.SIGTERM)
    with running("The balancer", command, data_dir / "balancer.log", signal.SIGTERM) as child:
        yield child


def await_answer(child: Child, port: int) -> None:
    """Return when what listens on `port` says it is ready. Raises ChildError when the child ends before."""
    await_ready(child, lambda: _is_ready(f"http://{HOST}:{port}/health/ready"))


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
