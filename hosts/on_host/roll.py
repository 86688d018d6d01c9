"""Make a release the current one and restart gateways, one after another; each must be ready before the next is asked to leave.

Runs on the host, as root: `python -m hosts.on_host.roll RELEASE SECONDS [NUMBER=URL …]`. When one does not become ready, the
release before is made current again and that gateway restarted with it; the others were not touched.
"""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path("/opt/veloz")
_POLL = 0.2


class Stuck(Exception):
    """A gateway that was not ready in time; the message says which and what it said."""


def roll(
    release: str,
    gateways: Mapping[int, str],
    restart: Callable[[int], None],
    await_ready: Callable[[str], str],
    root: Path = ROOT,
) -> None:
    """`gateways`: number → URL of its /health/ready. `await_ready` returns what is wrong, empty when it is ready."""
    before = switch(release, root)
    for number, url in gateways.items():
        restart(number)
        if not (wrong := await_ready(url)):
            continue
        if before in {"", release}:
            raise Stuck(f"gateway {number} is not ready: {wrong}. Look at: journalctl -u veloz-gateway@{number}")
        switch(before, root)
        restart(number)
        again = await_ready(url)
        raise Stuck(
            f"gateway {number} is not ready with release {release}: {wrong}. Release {before} is current again, "
            + (f"and it is not ready either: {again}." if again else "and it is ready.")
        )


def switch(release: str, root: Path = ROOT) -> str:
    """Make it current in one step; returns the one before, empty for none."""
    current = root / "current"
    before = current.readlink().name if current.is_symlink() else ""
    if before != release:
        new = root / ".current.new"
        new.unlink(missing_ok=True)
        new.symlink_to(root / "releases" / release)
        new.replace(current)
    return before


def wait(url: str, seconds: float) -> str:
    """What is wrong after `seconds`; empty as soon as it answers 200."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - the URL is our own
                if answer.status == 200:  # noqa: PLR2004 - OK
                    return ""
                wrong = f"it answers {answer.status}"
        except urllib.error.HTTPError as error:
            wrong = f"it answers {error.code}: {error.read(500).decode(errors='replace')}"
        except OSError as error:
            wrong = str(error)
        if time.monotonic() > deadline:
            return wrong
        time.sleep(_POLL)


def _restart(number: int) -> None:
    # A failure shows in what the gateway answers.
    subprocess.run(["/usr/bin/systemctl", "restart", f"veloz-gateway@{number}.service"], check=False)


def main(arguments: list[str]) -> int:
    release, seconds, *rest = arguments
    gateways = {int(number): url for number, _, url in (one.partition("=") for one in rest)}
    try:
        roll(release, gateways, _restart, lambda url: wait(url, float(seconds)))
    except Stuck as error:
        sys.stderr.write(f"veloz: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
