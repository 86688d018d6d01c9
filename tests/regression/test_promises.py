"""docs/promises.md knows every short name that tests use, and names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = re.compile(r"^\| ([RSTF]\d+) \|.*\| (.+) \|$", re.MULTILINE)
NAMED = re.compile(r"\b[RSTF]\d{1,2}\b(?!\d)")


def _rows() -> dict[str, str]:
    return dict(ROWS.findall((ROOT / "docs/promises.md").read_text()))


def test_every_name_is_explained() -> None:
    """Looked for where a test says what it is about: in docstrings, comments and figures."""
    rows = _rows()
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        said = "".join(re.findall(r'"""(?:[^"]|"(?!""))*"""|figure\(\s*f?"[^"]*"', path.read_text()))
        assert set(NAMED.findall(said)) <= rows.keys(), path


def test_every_test_that_is_named_is_there() -> None:
    for name, shown in _rows().items():
        folder = ""
        for given in re.findall(r"`([^`]+)`", shown):
            folder, file = given.rsplit("/", 1) if "/" in given else (folder, given)
            path = ROOT / "tests" / folder / file
            assert path.is_dir() or path.with_suffix(".py").is_file(), f"{name}: {given}"
