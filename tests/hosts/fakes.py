"""A host that nobody has: pyinfra's own fake, which answers commands as a test says and remembers them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import pytest
from pyinfra.api.host import Host
from pyinfra.connectors.fake import FakeConnector

from hosts import session
from stacks.machines import Machine

# What a command that contains the text, or matches the pattern, answers; the first that does.
Answers: TypeAlias = dict[str | re.Pattern[str], Any]
FAKE = Machine(address="@fake/one")


@contextmanager
def fake_session(answers: Answers, told: Callable[[str], None] = lambda _name: None) -> Iterator[session.Session]:
    """A session with it; `commands()` afterwards has what ran."""
    with pytest.MonkeyPatch.context() as patch:
        data = {"fake_responses": answers, "fake_delay": 0, "fake_delay_jitter": 0}
        patch.setattr(session, "ssh_data", lambda _machine: data)
        ran.clear()
        patch.setattr(FakeConnector, "run_shell_command", _recorded)
        yield session.Session(FAKE, told)


ran: list[tuple[str, str]] = []
_original = FakeConnector.run_shell_command


def _recorded(self: FakeConnector, command: Any, **arguments: Any) -> Any:  # noqa: ANN401 - pyinfra's own
    ran.append((str(command), str(arguments.get("_stdin", "") or "")))
    return _original(self, command, **arguments)


def connected(host: Host) -> FakeConnector:
    assert isinstance(host.connector, FakeConnector)
    return host.connector
