"""One at a time on a host: a lock that its kernel takes back when the connection ends, however it ends.

What a connection started goes on when it is cut off, an installer or pg_checksums among it; the next one waits for that. It is
known by the environment that sshd gave it.
"""

from __future__ import annotations

import shlex
from typing import Any, Final

from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host

from hosts.places import RUN_DIR

_FILE: Final = f"{RUN_DIR}/lock"
_HELD: Final = "held"
_WAITING: Final = "waiting"
_ANSWER_SECONDS: Final = 20
_FREED_SECONDS: Final = 3  # a connection that was just closed has it for a moment more: seen with OpenSSH 10
_LEFT_SECONDS: Final = 900  # for what was left at work: the longest is the engine's build on a small machine
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
        f"install -d -m 700 {RUN_DIR}; umask 077; exec 9>>{_FILE}; flock -w {_FREED_SECONDS} 9 || {{ cat {_FILE}; exit 1; }}; "
        f"{_left_behind()}"
        f': >{_FILE}; echo "$SSH_CONNECTION" >&9; echo {_HELD}; exec timeout {_LONGEST_SECONDS} cat'
    )
    sudo = "sudo -n --preserve-env=SSH_CONNECTION " if host.data.get("_sudo") else ""
    stdin, stdout, _ = client.exec_command(f"{sudo}sh -c {inner}", timeout=_ANSWER_SECONDS)
    answer = said = stdout.readline().strip()
    while said.startswith(_WAITING):
        answer, said = said, stdout.readline().strip()
    if said == _HELD:
        client.veloz_lock = (stdin, stdout)  # a channel that nobody holds is closed
        return
    if answer.startswith(_WAITING):
        raise PyinfraError(
            f"a command that was cut off is still at work on this host after {_LEFT_SECONDS} s; look at: ps -fp "
            f"{answer.removeprefix(_WAITING).strip()}; wait for it or end it"
        )
    who = f" from {answer.split()[0]}" if answer else ""
    raise PyinfraError(f"another command{who} is at work on this host; wait until it has ended")


def _left_behind() -> str:
    """Shell: until none of the connection that had the lock before is left; a line every second meanwhile."""
    theirs = "/proc/[0-9]*/environ | cut -d/ -f3 | paste -sd, -"
    return (
        f'before=$(cat {_FILE}); n=0; while [ -n "$before" ] && [ "$before" != "$SSH_CONNECTION" ] && '
        f'pids=$(grep -slzxF "SSH_CONNECTION=$before" {theirs}) && [ -n "$pids" ]; do '
        f'[ $n -lt {_LEFT_SECONDS} ] || exit 1; n=$((n + 1)); echo "{_WAITING} $pids"; sleep 1; done; '
    )
