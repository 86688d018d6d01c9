"""One at a time on a host: a lock that its kernel takes back when the connection ends, however it ends."""

from __future__ import annotations

import shlex
from typing import Any, Final

from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host

# What is remembered of a host; and what nobody needs after a boot.
STATE_DIR: Final = "/var/lib/veloz/host"
RUN_DIR: Final = "/run/veloz-host"
_FILE: Final = f"{RUN_DIR}/lock"
_HELD: Final = "held"
_ANSWER_SECONDS: Final = 20
_LONGEST_SECONDS: Final = 3600  # where the network went away and nobody closed the connection


def take(host: Host) -> None:
    """Held until the connection to `host` ends. Raises PyinfraError when somebody else has it.

    A connection of another kind than SSH (a test's, pyinfra's @local) has no lock.
    """
    client: Any = getattr(host.connector, "client", None)
    if client is None or not hasattr(client, "exec_command"):
        return
    # `cat` waits for a word that never comes: sshd closes it with the connection, and the lock with it.
    inner = shlex.quote(
        f"install -d -m 700 {RUN_DIR}; umask 077; exec 9>>{_FILE}; flock -n 9 || {{ cat {_FILE}; exit 1; }}; "
        f': >{_FILE}; echo "$SSH_CONNECTION" >&9; echo {_HELD}; exec timeout {_LONGEST_SECONDS} cat'
    )
    sudo = "sudo -n --preserve-env=SSH_CONNECTION " if host.data.get("_sudo") else ""
    stdin, stdout, _ = client.exec_command(f"{sudo}sh -c {inner}", timeout=_ANSWER_SECONDS)
    answer = stdout.readline().strip()
    if answer != _HELD:
        who = f" from {answer.split()[0]}" if answer else ""
        raise PyinfraError(f"another command{who} is at work on this host; wait until it has ended")
    client.veloz_lock = (stdin, stdout)  # a channel that nobody holds is closed
