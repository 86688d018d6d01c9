"""The script that puts a firewall back."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from hosts import docker_user, firewall_stage

GUARD = Path(firewall_stage.__file__).with_name("templates") / "firewall_guard.sh"


def test_shellcheck_has_nothing_to_say() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("shellcheck"), str(GUARD)], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""


def test_commands_are_over_before_the_timer_ends() -> None:
    """Else they would go on after the former firewall is back."""
    (seconds,) = re.findall(r"^apply_seconds=(\d+)$", GUARD.read_text(), re.MULTILINE)
    assert int(seconds) + 1 < firewall_stage.REVERT_SECONDS


def test_it_knows_the_chains_by_their_names() -> None:
    assert docker_user.CHAIN in GUARD.read_text()
    assert docker_user.HOOK in GUARD.read_text()
