"""One host over SSH, through pyinfra: ask it facts, run operations on it, count what changed."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from pyinfra.api import Config, FactBase, Inventory, State
from pyinfra.api.connect import connect_all, disconnect_all
from pyinfra.api.deploy import add_deploy
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.operations import run_ops
from pyinfra.api.state import BaseStateCallback
from pyinfra.context import ctx_host, ctx_state

from hosts.said import Said, of_operation
from stacks.commands.failures import Failure
from stacks.machines import Machine

T = TypeVar("T")
CONNECT_SECONDS: Final = 10
# A question as often, and how long nothing of all that is sent may be acknowledged. A reboot says so itself, when it is over.
ALIVE_SECONDS: Final = 15
GONE_SECONDS: Final = 60
# The file that known hosts are kept in, where it is not SSH's usual one.
KNOWN_HOSTS: Final = "SSH_KNOWN_HOSTS"


class Step(NamedTuple):
    """An operation that ran, or would run."""

    name: str
    changed: bool


class Session:
    """Every call makes a connection of its own (0.2 s) and sees the host as it is then: a pyinfra state runs once.

    `told` hears the name of every operation before it runs.
    """

    def __init__(self, machine: Machine, told: Callable[[str], None] = lambda _name: None) -> None:
        self.machine = machine
        self._told = told

    @property
    def name(self) -> str:
        return self.machine.address

    def fact(self, fact: type[FactBase[Any]], **arguments: Any) -> Any:  # noqa: ANN401 - a fact's own type
        """Raises Failure when the host cannot be reached or does not say."""
        return self.ask(lambda host: host.get_fact(fact, **arguments))

    def ask(self, question: Callable[..., T], *positional: Any, **arguments: Any) -> T:  # noqa: ANN401
        """What `question(host, …)` returns: facts, on one connection. Raises Failure."""
        with self._connected() as (state, host), self._failing(state, host), ctx_state.use(state), ctx_host.use(host):
            return question(host, *positional, **arguments)

    def plan(self, deploy: Callable[..., None], *positional: Any, **arguments: Any) -> tuple[Step, ...]:  # noqa: ANN401
        """What `run` would do, as far as it can be said before. Nothing is changed."""
        with self._connected() as (state, host), self._failing(state, host):
            add_deploy(state, deploy, *positional, **arguments)
            return tuple(_steps(state, host, done=False))

    def run(self, deploy: Callable[..., None], *positional: Any, **arguments: Any) -> tuple[Step, ...]:  # noqa: ANN401
        """Run what `deploy` calls of pyinfra's operations, in order, up to the first that fails.

        Raises Failure with what the host said; what was done before stays.
        """
        with self._connected() as (state, host), self._failing(state, host):
            add_deploy(state, deploy, *positional, **arguments)
            state.add_callback_handler(_Teller(self._told))
            run_ops(state)
            return tuple(_steps(state, host, done=True))

    @contextmanager
    def _failing(self, state: State, host: Host) -> Iterator[None]:
        """The exception says that something failed; the host said what."""
        said = Said()
        with said.listening():
            try:
                yield
            except PyinfraError as error:
                raise Failure(f"{self.name}: {of_operation(state, host, said.last) or said.last or error}") from error

    @contextmanager
    def _connected(self) -> Iterator[tuple[State, Host]]:
        inventory = Inventory(([(self.name, ssh_data(self.machine))], {}))
        state = State(inventory, Config(FAIL_PERCENT=0, CONNECT_TIMEOUT=CONNECT_SECONDS))
        host = inventory.get_host(self.name)
        said = Said()
        make_known_hosts()
        with said.listening():
            try:
                connect_all(state)
            except PyinfraError as error:
                raise Failure(
                    f"{self.machine.user}@{self.name}:{self.machine.port} cannot be reached over SSH: {said.last or error}; "
                    "look at the address, the key (SSH_KEY) and the host's sshd"
                ) from error
        try:
            notice_its_end(host)
            check_rights(host, self.machine)
            yield state, host
        finally:
            with suppress(Exception):  # of a connection that broke
                disconnect_all(state)
            if client := getattr(host.connector, "client", None):
                client.close()  # ends what was started on it, such as the lock


def make_known_hosts() -> None:
    """Where keys of hosts are kept: who never used SSH has neither file nor folder. Raises Failure."""
    path = Path(os.environ.get(KNOWN_HOSTS) or "~/.ssh/known_hosts").expanduser()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError as error:
        raise Failure(
            f"{path}: the keys of hosts cannot be kept there ({error.strerror}); make it writable, or name another "
            f"file: {KNOWN_HOSTS}=…"
        ) from error


def notice_its_end(host: Host) -> None:
    """That a host is gone, without power or network: else a command that it was asked would be waited for without end."""
    client = getattr(host.connector, "client", None)
    if client is None or not (transport := client.get_transport()):
        return
    transport.set_keepalive(ALIVE_SECONDS)
    if hasattr(transport.sock, "setsockopt"):  # not a proxy command's
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GONE_SECONDS * 1000)


def check_rights(host: Host, machine: Machine) -> None:
    """Raises Failure where a password would be asked for, which nobody hears."""
    client = getattr(host.connector, "client", None)
    if client is None or not host.data.get("_sudo"):
        return
    _, said, errors = client.exec_command("sudo -n true", timeout=CONNECT_SECONDS)
    if said.channel.recv_exit_status():
        why = errors.read().decode(errors="replace").strip()
        raise Failure(
            f"{machine.user}@{machine.address}: must be root, or may use sudo without a password, and does not ({why}); say "
            f"HOST=root@…, or write there: echo '{machine.user} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/{machine.user}"
        )


def ssh_data(machine: Machine) -> dict[str, Any]:
    """A machine as pyinfra's inventory has it."""
    data: dict[str, Any] = {
        "ssh_hostname": machine.address,
        "ssh_user": machine.user,
        "ssh_port": machine.port,
        "ssh_strict_host_key_checking": "accept-new",
    }
    if machine.user != "root":
        data["_sudo"] = True
    if machine.key:
        data["ssh_key"] = machine.key
    if known := os.environ.get(KNOWN_HOSTS):
        data["ssh_known_hosts_file"] = known
    return data


def _steps(state: State, host: Host, *, done: bool) -> Iterator[Step]:
    for key in state.get_op_order():
        meta = state.get_op_data_for_host(host, key).operation_meta
        yield Step(next(iter(state.op_meta[key].names), ""), meta.did_change() if done else meta.will_change)


class _Teller(BaseStateCallback):
    def __init__(self, told: Callable[[str], None]) -> None:
        self._told = told

    def operation_start(self, state: State, op_hash: str) -> None:  # type: ignore[override]  # pyinfra's is static
        self._told(next(iter(state.op_meta[op_hash].names), ""))
