"""docs/promises.md names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = re.findall(r"^\| ([RSTF]\d+) \|.*\| (.+) \|$", (ROOT / "docs/promises.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize(("name", "shown"), ROWS)
def test_every_test_that_is_named_is_there(name: str, shown: str) -> None:
    folder = ""
    for given in re.findall(r"`([^`]+)`", shown):
        folder, file = given.rsplit("/", 1) if "/" in given else (folder, given)
        path = ROOT / "tests" / folder / file
        assert path.is_dir() or path.with_suffix(".py").is_file(), f"{name}: {given}"
