"""The files that images are built from: a list of what is taken, and a clean folder with that and nothing else.

What is not in the list cannot get into an image: no history, no data, no caches, no keys that lie about.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
DOCKERFILE: Final = "stacks/images/Dockerfile"
TAKEN: Final = (
    "pyproject.toml",
    "requirements.lock",
    "app/**/*.py",
    "app/**/*.sql",
    "app/**/*.lua",
    "engine/CMakeLists.txt",
    "engine/CMakePresets.json",
    "engine/src/**/*.cpp",
    "engine/src/**/*.hpp",
    DOCKERFILE,
    "stacks/images/probe.py",
    "stacks/images/sbom.py",
)
# Ignored by git, removed by `make clean`.
STAGED: Final = PurePosixPath("build/images")


def context_files(root: Path = ROOT, taken: Iterable[str] = TAKEN) -> tuple[str, ...]:
    """What is taken of a tree, as sorted paths relative to it. No links, nothing hidden."""
    return tuple(sorted(set(_found(root, taken))))


def _found(root: Path, taken: Iterable[str]) -> Iterator[str]:
    for pattern in taken:
        for path in root.glob(pattern):
            relative = path.relative_to(root)
            links = any((root / part).is_symlink() for part in [relative, *relative.parents])
            hidden = any(part.startswith(".") or part == "__pycache__" for part in relative.parts)
            if path.is_file() and not links and not hidden:
                yield relative.as_posix()


def read(root: Path = ROOT, taken: Iterable[str] = TAKEN) -> dict[str, bytes]:
    return {name: (root / name).read_bytes() for name in context_files(root, taken)}


def context_digest(files: Mapping[str, bytes], base: str) -> str:
    """64 hexadecimal digits that differ when an image built from these files on that base image might."""
    digest = sha256()
    for name, content in [("", base.encode()), *sorted(files.items())]:
        for part in (name.encode(), content):
            digest.update(len(part).to_bytes(8) + part)
    return digest.hexdigest()


def stage(files: Mapping[str, bytes], root: Path = ROOT) -> PurePosixPath:
    """A folder with these files, made when it is not there; its path relative to `root` is the same for the same files."""
    staged = STAGED / context_digest(files, "")[:12]
    folder = root / staged
    if folder.is_dir() and _content(folder) == files:
        return staged
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as new:
        for name, content in files.items():
            path = Path(new, "context", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        shutil.rmtree(folder, ignore_errors=True)
        Path(new, "context").rename(folder)
    return staged


def _content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if not path.is_dir()}
