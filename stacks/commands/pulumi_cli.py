"""The Pulumi CLI: where it is, the environment it runs in, and what it says in words."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from stacks.commands import atomic
from stacks.commands.failures import Failure, Interrupted
from stacks.commands.output import Output
from stacks.commands.project import Project
from stacks.commands.pulumi_errors import explain

PROGRAM: Final = "pulumi"
_DIY = ("file://", "s3://", "gs://", "azblob://", "postgres://")
_BITS = 32
_STOPPED: Final = (
    "Stopped. Pulumi finished what it had begun and wrote down how far it came; the same command goes on from there."
)


class Done(NamedTuple):
    code: int
    out: str
    err: str


class Configuration(NamedTuple):
    """A stack's configuration with its secrets in the clear: never printed, never kept."""

    deployment: Any
    secrets: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Configuration({', '.join(self.secrets)})"


class Pulumi:
    """Runs the CLI in a project, for one stack at a time. What it refuses is raised as Failure, in words."""

    def __init__(self, program: Path, project: Project, environ: Mapping[str, str]) -> None:
        self.program = program
        self.project = project
        self.environ = dict(environ)

    @property
    def backend(self) -> str:
        """Where the state is, for a person."""
        return self.environ.get("PULUMI_BACKEND_URL") or self.project.backend or "the backend of `pulumi login`"

    def run(self, arguments: Sequence[str], *, given: str = "", check: bool = True) -> Done:
        """To its end. `given` is what it reads; secrets come in that way alone."""
        out: list[str] = []
        code, err = self._talk(arguments, given, out.append, "Stopped.")
        done = Done(code, "".join(out), err)
        if check and code:
            raise Failure(explain(done.err, backend=self.backend))
        return done

    def stream(self, arguments: Sequence[str], take: Callable[[Mapping[str, Any]], None]) -> Done:
        """Each line of JSON as it comes. Does not raise for what pulumi says."""

        def line(text: str) -> None:
            with contextlib.suppress(msgspec.DecodeError):  # what is no event is no matter
                event = msgspec.json.decode(text)
                if isinstance(event, dict):
                    take(event)

        code, err = self._talk(arguments, "", line, _STOPPED)
        return Done(code, "", err)

    def attached(self, arguments: Sequence[str]) -> None:
        """On this terminal, whose interrupts reach it by themselves. Raises Failure, Interrupted."""
        stopped = False

        def wait_on(*_: object) -> None:
            nonlocal stopped
            stopped = True

        before = signal.signal(signal.SIGINT, wait_on)
        try:
            done = subprocess.run([self.program, *arguments], cwd=self.project.root, env=self.environ, check=False)
        finally:
            signal.signal(signal.SIGINT, before)
        if stopped:
            raise Interrupted("Stopped.")
        if done.returncode:
            raise Failure(f"pulumi ended with {done.returncode}.")

    def configuration(self, stack: str) -> Configuration:
        document = msgspec.json.decode(self.run(["config", "--stack", stack, "--show-secrets", "--json"]).out)
        ours = document.get(f"{self.project.name}:secrets", {}).get("objectValue")
        plain = document.get(f"{self.project.name}:deployment", {}).get("objectValue")
        return Configuration(plain, ours if isinstance(ours, dict) else {})

    def set_secret(self, stack: str, name: str, value: str) -> None:
        """Encrypted into the stack file. The value goes in through a pipe: a command line is seen by everybody."""
        path = f"{self.project.name}:secrets.{name}"
        self.run(["config", "set", "--stack", stack, "--path", "--secret", path], given=value)

    def stacks(self) -> list[str]:
        """Their names, as the backend gives them."""
        return [one["name"] for one in msgspec.json.decode(self.run(["stack", "ls", "--json"]).out)]

    def outputs(self, stack: str) -> Mapping[str, Any]:
        return dict(msgspec.json.decode(self.run(["stack", "output", "--stack", stack, "--json"]).out or "{}"))

    def _talk(self, arguments: Sequence[str], given: str, take: Callable[[str], None], stopped: str) -> tuple[int, str]:
        command = [str(self.program), "--non-interactive", "--color", "never", *arguments]
        try:
            process = subprocess.Popen(
                command,
                cwd=self.project.root,
                env=self.environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,  # an interrupt reaches it once, from here, and it ends in order
            )
        except OSError as error:
            raise Failure(f"{self.program} cannot be started: {error.strerror}. Install Pulumi anew.") from error
        err: list[str] = []
        reader = threading.Thread(target=lambda: err.extend(process.stderr or ()), daemon=True)
        reader.start()
        with process, _forwarded(process, stopped):
            if process.stdin:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(given)
                    process.stdin.close()
            for line in process.stdout or ():
                take(line)
            reader.join()
            return process.wait(), "".join(err)


@contextlib.contextmanager
def _forwarded(process: subprocess.Popen[str], stopped: str) -> Iterator[None]:
    """An interrupt is pulumi's: the first makes it finish what it began, the second ends it. Raises Interrupted afterwards.

    A terminal that is lost interrupts too, and nobody is left to be told how it goes on.
    """
    came = 0

    def forward(number: int, _frame: object) -> None:
        nonlocal came
        if number == signal.SIGHUP:
            _unheard()
            if came:  # kernel, shell and make each tell of one lost terminal
                return
        came += 1
        process.send_signal(signal.SIGINT)

    numbers = (
        (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if threading.current_thread() is threading.main_thread() else ()
    )
    before = {number: signal.signal(number, forward) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise Interrupted(stopped)


def _unheard() -> None:
    """What is written to the terminal from now on goes nowhere, where it would fail and end pulumi midway."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        if stat.S_ISCHR(os.fstat(descriptor).st_mode):  # isatty says no of one that is lost
            os.dup2(nowhere, descriptor)


def find(environ: Mapping[str, str]) -> Path | None:
    """On PATH, else where Pulumi's own installers put it."""
    home = Path(environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    if found := shutil.which(PROGRAM, path=environ.get("PATH", os.defpath)):
        return Path(found)
    for place in (home / "bin", _installed(home) / "bin"):
        if found := shutil.which(PROGRAM, path=str(place)):
            return Path(found)
    return None


def _installed(home: Path) -> Path:
    return home / "versions" / version("pulumi")


def install(output: Output, environ: Mapping[str, str]) -> Path:
    """By Pulumi's own installer, into its own folder. Raises Failure."""
    from pulumi.automation import PulumiCommand  # noqa: PLC0415 - slow to load, rarely wanted

    root = _installed(Path(environ.get("PULUMI_HOME") or Path.home() / ".pulumi"))
    output.say(f"Pulumi is not on PATH. Its own installer puts it into {root}; nothing else is changed.")
    try:
        with output.step("installing Pulumi"):
            PulumiCommand.install(root=str(root))
    except subprocess.CalledProcessError as error:
        reason = (error.output or b"").decode(errors="replace").strip().splitlines()
        raise _cannot_install(reason[-1] if reason else f"it ended with {error.returncode}") from error
    except Exception as error:  # whatever its installer meets: no network, no space, another version
        raise _cannot_install(str(error)) from error
    return root / "bin" / PROGRAM


def _cannot_install(reason: str) -> Failure:
    return Failure(
        f"The Pulumi CLI is neither on PATH nor in ~/.pulumi/bin, and its installer did not succeed: {reason}. "
        "Install it by hand (https://www.pulumi.com/docs/install/) and put it on PATH."
    )


def environment(project: Project, environ: Mapping[str, str], program: Path) -> dict[str, str]:
    """What pulumi runs with: this Python first, the local backend unless another was chosen, the passphrase's file."""
    ours = str(Path(sys.executable).parent)
    paths = [ours, str(program.parent), environ.get("PATH", os.defpath)]
    wanted = dict(environ) | {"PATH": os.pathsep.join(paths), "PULUMI_SKIP_UPDATE_CHECK": "true"}
    wanted.pop("PULUMI_ENABLE_STREAMING_JSON_PREVIEW", None)  # a preview is read as one document
    if local(project, environ):
        folder = project.state / "pulumi"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        wanted["PULUMI_BACKEND_URL"] = folder.as_uri()
    if not _has_passphrase(environ) and project.passphrase.is_file():
        _guard(project.passphrase)
        wanted["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(project.passphrase)
    return wanted


def local(project: Project, environ: Mapping[str, str]) -> bool:
    """Nobody chose a backend: not by PULUMI_BACKEND_URL, not in Pulumi.yaml, not by `pulumi login`."""
    return not (environ.get("PULUMI_BACKEND_URL") or project.backend or _logged_in(environ))


def _logged_in(environ: Mapping[str, str]) -> str:
    home = Path(environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    try:
        document = msgspec.json.decode((home / "credentials.json").read_bytes())
    except (OSError, msgspec.DecodeError):
        return ""
    return str(document.get("current") or "") if isinstance(document, dict) else ""


def _has_passphrase(environ: Mapping[str, str]) -> bool:
    return "PULUMI_CONFIG_PASSPHRASE" in environ or bool(environ.get("PULUMI_CONFIG_PASSPHRASE_FILE"))


def needs_passphrase(project: Project, environ: Mapping[str, str]) -> bool:
    """Backends without a service of their own encrypt with a passphrase, unless the stack file names another provider."""
    url = environ.get("PULUMI_BACKEND_URL") or project.backend or _logged_in(environ)
    return not _has_passphrase(environ) and (not url or url.startswith(_DIY))


def make_passphrase(project: Project, output: Output) -> None:
    """A random one, readable by its owner alone, unless there is one already."""
    path = project.passphrase
    if path.exists():
        return
    atomic.write(path, secrets.token_urlsafe(_BITS) + "\n", 0o600)
    output.say(
        f"The secrets of this working copy's stacks are encrypted with the passphrase in {path}. Keep a copy in a safe place: "
        "who loses it loses the secrets. PULUMI_CONFIG_PASSPHRASE_FILE names another file.",
        "yellow",
    )


def _guard(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise Failure(
            f"{path} has mode {mode:04o}: others may read the passphrase. Only its owner may: chmod 600 {path}"
        )
