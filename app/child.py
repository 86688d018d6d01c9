"""Child processes that end with us, however we end."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

CAPABILITY_BITS = {"dac_override": 1, "dac_read_search": 2, "setpcap": 8}  # linux/capability.h
STOP_SECONDS = 30


class ChildError(Exception):
    """A child that did not start or did not live, in words for the person at the terminal."""


class User(NamedTuple):
    """Who a child runs as."""

    uid: int
    gid: int


class Child(NamedTuple):
    """A running program: its process, the signal that stops it cleanly, and its log; None: our own output."""

    name: str
    process: subprocess.Popen[bytes]
    stop_signal: signal.Signals
    log: Path | None


def bound_to_us(command: list[str], stop_signal: signal.Signals, user: User | None = None) -> list[str]:
    """The command under setpriv: stopped by `stop_signal` when the thread that starts it ends; run as `user` by root.

    A clone may lie where only root can enter (mode 0700); a capability to search directories makes up for that.
    """
    prefix = ["setpriv", "--pdeathsig", stop_signal.name.removeprefix("SIG")]
    if user is not None and os.geteuid() == 0:
        prefix += ["--reuid", str(user.uid), "--regid", str(user.gid), "--clear-groups", "--no-new-privs"]
        held = _capabilities()
        for name in [name for name in ("dac_read_search", "dac_override") if name in held][:1]:
            prefix += ["--inh-caps", f"-all,+{name}", "--ambient-caps", f"-all,+{name}"]
        # PostgreSQL asks access(2), which without this forgets the capabilities of any user but root.
        if "setpcap" in held:
            prefix += ["--securebits", "+no_setuid_fixup"]
    return [*prefix, *command]


def _capabilities() -> set[str]:
    effective = int(Path("/proc/self/status").read_text().split("CapEff:")[1].split()[0], 16)
    return {name for name, bit in CAPABILITY_BITS.items() if effective >> bit & 1}


def start(
    name: str,
    command: list[str],
    log: Path | None,
    stop_signal: signal.Signals,
    *,
    env: Mapping[str, str] | None = None,
    lock: int | None = None,
) -> Child:
    """Start the command (from `bound_to_us`), its output in `log`, among our own when None. It inherits `lock`."""
    if log is not None and log.exists():
        log.replace(log.with_name(f"{log.name}.1"))
    with nullcontext() if log is None else log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if log is None else subprocess.STDOUT,
            env=environment() if env is None else env,
            pass_fds=[] if lock is None else [lock],
            start_new_session=True,  # Ctrl-C at the terminal is for us: what uses this child stops before it
        )
    return Child(name, process, stop_signal, log)


def stop(*children: Child) -> None:
    """Tell all of them to stop, then wait for each; one that does not is killed."""
    for child in children:
        child.process.send_signal(child.stop_signal)
    deadline = time.monotonic() + STOP_SECONDS
    for child in children:
        try:
            child.process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()


@contextmanager
def running(
    name: str,
    command: list[str],
    log: Path | None,
    stop_signal: signal.Signals,
    *,
    env: Mapping[str, str] | None = None,
    lock: int | None = None,
) -> Iterator[Child]:
    """`start` it; `stop` it at the end."""
    child = start(name, command, log, stop_signal, env=env, lock=lock)
    try:
        yield child
    finally:
        stop(child)


def environment() -> dict[str, str]:
    """A plain one: variables such as PGDATA or LD_PRELOAD of the user's shell are not for the servers."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def await_ready(child: Child, ready: Callable[[], bool], seconds: float = 60) -> None:
    """Return when `ready()` holds; raise ChildError with the log's last word when the child ends or `seconds` pass."""
    deadline = time.monotonic() + seconds
    while not ready():
        try:
            status = child.process.wait(timeout=0.01)
        except subprocess.TimeoutExpired:
            if time.monotonic() < deadline:
                continue
            reason = f"gave no answer in {seconds:.0f} s"
        else:
            reason = f"ended with status {status}"
        said = "its last words are above" if child.log is None else f"{last_word(child.log)} (log: {child.log})"
        msg = f"{child.name} {reason}: {said}"
        raise ChildError(msg)


def last_word(log: Path) -> str:
    """The last FATAL line of a log, else its last line."""
    lines = log.read_text(errors="replace").splitlines()
    return next(
        (line for line in reversed(lines) if "FATAL" in line), lines[-1] if lines else "its log is empty"
    ).strip()
