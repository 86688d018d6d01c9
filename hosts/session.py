"""One host over SSH, through pyinfra: ask it facts, run operations on it, count what changed."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any, Final, NamedTuple

from pyinfra.api import Config, FactBase, Inventory, State
from pyinfra.api.connect import connect_all, disconnect_all
from pyinfra.api.deploy import add_deploy
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.operations import run_ops
from pyinfra.context import ctx_host, ctx_state

from stacks.commands.failures import Failure
from stacks.machines import Machine

CONNECT_SECONDS: Final = 10
# The file that known hosts are kept in, where it is not SSH's usual one.
KNOWN_HOSTS: Final = "SSH_KNOWN_HOSTS"


class Step(NamedTuple):
    """An operation that ran, or would run."""

    name: str
    changed: bool


class Session:
    """Every call makes a connection of its own (0.2 s) and sees the host as it is then: a pyinfra state runs once."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def fact(self, fact: type[FactBase], **arguments: Any) -> Any:  # noqa: ANN401 - a fact's own type
        """Raises Failure when the host cannot be reached or does not say."""
        with self._connected() as (state, host), ctx_state.use(state), ctx_host.use(host):
            try:
                return host.get_fact(fact, **arguments)
            except PyinfraError as error:
                raise Failure(f"{self.name}: {fact.__name__} cannot be read: {error}; look at the host") from error

    def plan(self, deploy: Callable[..., None], *positional: Any, **arguments: Any) -> tuple[Step, ...]:  # noqa: ANN401
        """What `run` would do, as far as it can be said before. Nothing is changed."""
        with self._connected() as (state, host):
            add_deploy(state, deploy, *positional, **arguments)
            return tuple(_steps(state, host, done=False))

    def run(self, deploy: Callable[..., None], *positional: Any, **arguments: Any) -> tuple[Step, ...]:  # noqa: ANN401
        """Run what `deploy` calls of pyinfra's operations, in order, up to the first that fails.

        Raises Failure with what the host said; what was done before stays.
        """
        with self._connected() as (state, host):
            add_deploy(state, deploy, *positional, **arguments)
            said = _Said()
            with said.listening():
                try:
                    run_ops(state)
                except PyinfraError as error:
                    raise Failure(f"{self.name}: {said.last or error}") from error
            return tuple(_steps(state, host, done=True))

    @property
    def name(self) -> str:
        return self.machine.address

    @contextmanager
    def _connected(self) -> Iterator[tuple[State, Host]]:
        inventory = Inventory(([(self.name, ssh_data(self.machine))], {}))
        state = State(
            inventory, Config(FAIL_PERCENT=0, CONNECT_TIMEOUT=CONNECT_SECONDS, SUDO=self.machine.user != "root")
        )
        said = _Said()
        with said.listening():
            try:
                connect_all(state)
            except PyinfraError as error:
                raise Failure(
                    f"{self.machine.user}@{self.name}:{self.machine.port} cannot be reached over SSH: {said.last or error}; "
                    "look at the address, the key (SSH_KEY) and the host's sshd"
                ) from error
        try:
            yield state, inventory.get_host(self.name)
        finally:
            disconnect_all(state)


def ssh_data(machine: Machine) -> dict[str, Any]:
    """A machine as pyinfra's inventory has it."""
    data: dict[str, Any] = {
        "ssh_hostname": machine.address,
        "ssh_user": machine.user,
        "ssh_port": machine.port,
        "ssh_strict_host_key_checking": "accept-new",
    }
    if machine.key:
        data["ssh_key"] = machine.key
    if known := os.environ.get(KNOWN_HOSTS):
        data["ssh_known_hosts_file"] = known
    return data


def _steps(state: State, host: Host, *, done: bool) -> Iterator[Step]:
    for key in state.get_op_order():
        meta = state.get_op_data_for_host(host, key).operation_meta
        yield Step(next(iter(state.op_meta[key].names), ""), meta.did_change() if done else meta.will_change)


class _Said(logging.Handler):
    """pyinfra logs why it fails, and raises something else."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage().strip() or self.last

    @contextmanager
    def listening(self) -> Iterator[None]:
        logger = logging.getLogger("pyinfra")
        logger.addHandler(self)
        quiet = logger.propagate
        logger.propagate = False
        try:
            with redirect_stderr(io.StringIO()):  # progress spinners
                yield
        finally:
            logger.removeHandler(self)
            logger.propagate = quiet
