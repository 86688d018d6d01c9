"""Secrets are made where they are used, and shown nowhere."""

from __future__ import annotations

import getpass
import stat
import subprocess
from pathlib import Path

from app.variables import check_key
from stacks.images.context import ROOT

SCRIPT = ROOT / "hosts" / "on_host" / "make_secret.sh"


def make(file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", SCRIPT, file, getpass.getuser()], check=True, capture_output=True, text=True)


def test_it_is_256_random_bits_for_its_owner_alone(tmp_path: Path) -> None:
    said = [make(tmp_path / name) for name in ("one", "two")]
    texts = [(tmp_path / name).read_text() for name in ("one", "two")]
    assert [check_key(text) for text in texts] == [None, None]
    assert texts[0] != texts[1]
    assert stat.S_IMODE((tmp_path / "one").stat().st_mode) == 0o400
    assert [one.stdout + one.stderr for one in said] == ["", ""]


def test_one_that_is_there_stays(tmp_path: Path) -> None:
    file = tmp_path / "key"
    make(file)
    before = file.read_text()
    file.chmod(0o644)
    make(file)
    assert file.read_text() == before
    assert stat.S_IMODE(file.stat().st_mode) == 0o400
