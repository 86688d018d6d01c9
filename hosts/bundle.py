"""What is uploaded to a host: the program, as an archive that is the same for the same sources. Pure but for reading.

Libraries are not in it: the host's own installer fetches them by the locked hashes. Neither is the engine's program: it is built
there from its sources, once for each change of them, so that it fits the host whatever the controller is.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from stacks.images import context

TAKEN: Final = (
    *(name for name in context.TAKEN if not name.startswith("stacks/")),
    "stacks/__init__.py",
    "stacks/commands/__init__.py",
    "stacks/commands/certificates.py",
    "stacks/commands/client.py",
    "stacks/commands/failures.py",
    "stacks/commands/resting.py",
    "stacks/commands/smoke.py",
    "hosts/__init__.py",
    "hosts/on_host/*.py",
    "hosts/on_host/*.sh",
)
_LOCKS: Final = ("pyproject.toml", "requirements.lock")
_INSTALLER: Final = "hosts/on_host/install_release.sh"
_DIGITS: Final = 12


class Bundle(NamedTuple):
    """`release`, `lock` and `engine` are digests: of all, of what says which libraries, of what the engine is built from."""

    release: str
    lock: str
    engine: str
    archive: bytes
    installer: bytes


def bundle(root: Path = context.ROOT) -> Bundle:
    files = context.read(root, TAKEN)
    return Bundle(
        _digest(files),
        _digest({name: files[name] for name in (*_LOCKS, _INSTALLER)}),
        _digest({name: text for name, text in files.items() if name.startswith("engine/")}),
        archive(files),
        files[_INSTALLER],
    )


def archive(files: Mapping[str, bytes]) -> bytes:
    """A tar.gz without times and owners."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, filename="") as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o755 if name.endswith(".sh") else 0o644
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _digest(files: Mapping[str, bytes]) -> str:
    return context.context_digest(files, "")[:_DIGITS]
