"""Make the edge's certificate where it is used: `… certificate FOLDER OWNER NAME HOSTNAME…`; the key never leaves the host."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from stacks.commands.certificates import generate


def main(arguments: list[str]) -> None:
    folder, owner, name, *hostnames = arguments
    made = generate(name, hostnames)
    # Nobody reads them in between: the balancer is reloaded after this.
    for file, text, mode in (
        ("ca.crt", made.authority, 0o444),
        ("tls.key", made.key, 0o400),
        ("tls.crt", made.certificate, 0o444),
    ):
        write(Path(folder, file), text, mode, owner)


def write(path: Path, text: str, mode: int, owner: str) -> None:
    """Whole or not at all, and readable to nobody else at any time."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        os.fsync(file.fileno())
    new.chmod(mode)
    shutil.chown(new, owner, owner)
    new.replace(path)


if __name__ == "__main__":
    main(sys.argv[1:])
