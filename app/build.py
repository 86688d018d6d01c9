"""Build the engine with CMake; a build that is up to date takes a fraction of a second."""

import argparse
import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ENGINE_DIR: Final = Path(__file__).resolve().parent.parent / "engine"
STEP: Final = re.compile(r"^\[\s*(\d+)/(\d+)\] |^\[\s*(\d+)%\] ")  # Ninja's and Make's
PRESETS: Final = ("release", "dev", "asan")


class BuildError(Exception):
    """What is missing or what the compiler said, in words for the person at the terminal."""


def engine_path(preset: str) -> Path:
    return ENGINE_DIR / "build" / preset / "veloz_engine"


def build_engine(preset: str, progress: Callable[[float, str], None]) -> Path:
    """Build `veloz_engine` and return its path. `progress` gets the part done, 0 to 1, and the step's name."""
    if shutil.which(os.environ.get("CXX", "g++")) is None and shutil.which("c++") is None:
        msg = "No C++ compiler was found. Install one: apt install g++"
        raise BuildError(msg)
    directory = ENGINE_DIR / "build" / preset
    with _exclusive(directory):
        if not (directory / "CMakeCache.txt").exists():
            progress(0, "configuring")
            _run(["--preset", preset], progress)
        _run(
            ["--build", "--preset", preset, "--target", "veloz_engine", "--parallel", str(os.cpu_count() or 1)],
            progress,
        )
    return engine_path(preset)


def _cmake() -> str:
    """The wheel's CMake beside this interpreter, else the one on PATH."""
    beside = Path(sys.executable).parent / "cmake"
    found = str(beside) if beside.exists() else shutil.which("cmake")
    if found is None:
        msg = "CMake was not found. `make setup` installs it into .venv; by hand: apt install cmake"
        raise BuildError(msg)
    return found


def _run(arguments: list[str], progress: Callable[[float, str], None]) -> None:
    last: deque[str] = deque(maxlen=30)
    with subprocess.Popen(
        [_cmake(), *arguments],
        cwd=ENGINE_DIR,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            last.append(line.rstrip())
            if step := STEP.match(line):
                of, total, percent = step.groups()
                progress(int(percent) / 100 if percent else int(of) / int(total), line[step.end() :].strip())
    if process.returncode:
        msg = f"The engine did not build (cmake {' '.join(arguments)} ended with {process.returncode}):\n" + "\n".join(
            last
        )
        raise BuildError(msg)


@contextmanager
def _exclusive(directory: Path) -> Iterator[None]:
    """One build of a preset at a time: test workers and a second terminal wait for the first."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".veloz-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m app.build", description=__doc__)
    parser.add_argument("preset", nargs="?", choices=PRESETS, default="release")
    try:
        print(build_engine(parser.parse_args().preset, lambda done, step: print(f"{done:4.0%} {step}")))  # noqa: T201
    except BuildError as error:
        print(f"veloz: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
