"""What images are built from: exactly what is listed, the same for the same content."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from stacks.images.context import ROOT, context_digest, context_files, read, stage

JUNK = (
    ".git/config",
    ".env",
    ".venv/lib/python3.11/site-packages/app/x.py",
    ".veloz/api_key",
    "__main__.py",
    "app/.ipynb_checkpoints/routes.py",
    "app/.secret.py",
    "app/__pycache__/routes.cpython-311.pyc",
    "app/__pycache__/routes.py",
    "app/api_key",
    "app/orders.py~",
    "app/routes.py.orig",
    "build/images/0123/app/x.py",
    "docs/architecture.md",
    "engine/build/release/veloz_engine",
    "engine/build/release/generated.cpp",
    "engine/test/test.hpp",
    "id_ed25519",
    "stacks/config/Pulumi.compose.yaml",
    "stacks/spec.py",
    "tests/conftest.py",
)
BASE = "python:3.11"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What of this tree is taken, and much that must not be."""
    for name in context_files():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    for name in JUNK:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("junk")
    (tmp_path / "app" / "elsewhere.py").symlink_to("/etc/passwd")
    (tmp_path / "engine" / "src" / "linked").symlink_to(ROOT / "app")
    return tmp_path


def files_under(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def test_it_has_what_a_gateway_and_its_engine_need() -> None:
    taken = set(context_files())
    assert {"app/__main__.py", "app/feeds/sim.py", "app/schema/0001_core.sql", "app/ratelimit.lua"} <= taken
    assert {
        "engine/CMakeLists.txt",
        "engine/CMakePresets.json",
        "engine/src/main.cpp",
        "engine/src/engine.hpp",
    } <= taken
    assert {"pyproject.toml", "requirements.lock", "stacks/images/Dockerfile", "stacks/images/probe.py"} <= taken


def test_every_file_of_the_application_and_the_engine_that_git_knows_is_taken() -> None:
    """A new kind of file in app/ would be missing in the images."""
    command = ["git", "ls-files", "app", "engine/src"]
    known = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert set(known) <= set(context_files())


def test_nothing_is_taken_that_git_does_not_know() -> None:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    known = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert set(context_files()) <= set(known)


def test_history_data_caches_keys_and_links_are_not_taken(tree: Path) -> None:
    assert context_files(tree) == context_files(ROOT)
    staged = tree / stage(read(tree), tree)
    assert files_under(staged) == set(context_files(ROOT))
    assert not any(path.is_symlink() for path in staged.rglob("*"))


def test_a_second_staging_changes_nothing(tree: Path) -> None:
    first = stage(read(tree), tree)
    before = {path: path.stat().st_mtime_ns for path in (tree / first).rglob("*")}
    assert stage(read(tree), tree) == first
    assert {path: path.stat().st_mtime_ns for path in (tree / first).rglob("*")} == before
    assert not first.is_absolute()


def test_a_staged_folder_that_was_touched_is_made_anew(tree: Path) -> None:
    staged = tree / stage(read(tree), tree)
    (staged / "app" / "secret.txt").write_text("junk")
    (staged / "app" / "routes.py").write_text("junk")
    stage(read(tree), tree)
    assert files_under(staged) == set(context_files(ROOT))
    assert (staged / "app" / "routes.py").read_bytes() == (ROOT / "app" / "routes.py").read_bytes()
    assert [path.name for path in staged.parent.iterdir() if path.name.startswith(".new-")] == []


def test_the_digest_is_of_names_contents_and_base_image_alone(tree: Path) -> None:
    before = context_digest(read(tree), BASE)
    for name in context_files(tree):
        (tree / name).touch()
        (tree / name).chmod(0o600)
    assert context_digest(read(tree), BASE) == before == context_digest(read(ROOT), BASE)
    assert context_digest(read(tree), "python:3.12") != before


@pytest.mark.parametrize(
    "name", ["app/routes.py", "engine/src/main.cpp", "requirements.lock", "stacks/images/Dockerfile"]
)
def test_another_content_is_another_digest(tree: Path, name: str) -> None:
    before = context_digest(read(tree), BASE)
    with (tree / name).open("a") as file:
        file.write("\n")
    assert context_digest(read(tree), BASE) != before


def test_what_moves_from_one_file_to_the_next_is_another_digest() -> None:
    assert context_digest({"a": b"bc", "d": b""}, "") != context_digest({"a": b"b", "cd": b""}, "")
    assert context_digest({"a": b""}, "x") != context_digest({}, "xa")
