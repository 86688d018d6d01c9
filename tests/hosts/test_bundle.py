"""What is uploaded: the same for the same sources, and nothing that only lies about."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path

from hosts.bundle import archive, bundle
from stacks.images.context import ROOT

INSTALLER = ROOT / "hosts" / "on_host" / "install_release.sh"


def names(packed: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        return tar.getnames()


def test_the_same_sources_make_the_same_archive() -> None:
    assert bundle() == bundle()
    assert archive({"a": b"1", "b": b"2"}) == archive({"b": b"2", "a": b"1"})


def test_what_runs_on_a_host_is_in_it_and_no_more() -> None:
    taken = names(bundle().archive)
    for name in (
        "app/__main__.py", "app/schema/0001_core.sql", "requirements.lock", "engine/CMakeLists.txt",
        "hosts/on_host/roll.py", "stacks/commands/smoke.py", "stacks/commands/client.py",
    ):  # fmt: skip
        assert name in taken
    assert not [
        n for n in taken if n.startswith(("tests/", "stacks/config", ".")) or n.endswith((".pyc", ".yaml", ".env"))
    ]


def test_the_smoke_test_starts_from_what_is_in_it(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(bundle().archive)) as tar:
        tar.extractall(tmp_path, filter="data")
    done = subprocess.run(
        [sys.executable, "-c", "import hosts.on_host.smoke as it; print(it.__file__)"],
        check=False, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout.startswith(str(tmp_path)), done.stderr


def test_digests_say_what_must_be_made_anew(tmp_path: Path) -> None:
    def tree(**changed: str) -> Path:
        root = tmp_path / "-".join(changed or ["same"])
        files = dict.fromkeys(("pyproject.toml", "requirements.lock", "app/a.py", "engine/src/a.cpp"), "1")
        files["hosts/on_host/install_release.sh"] = "1"
        names = {"app": "app/a.py", "engine": "engine/src/a.cpp", "lock": "requirements.lock"}
        for name, text in (files | {names[key]: value for key, value in changed.items()}).items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return root

    same = bundle(tree())
    app, engine, lock = (bundle(tree(**{key: "2"})) for key in ("app", "engine", "lock"))
    assert len({same.release, app.release, engine.release, lock.release}) == 4
    assert (app.lock, app.engine) == (same.lock, same.engine)
    assert (engine.lock, engine.engine == same.engine) == (same.lock, False)
    assert (lock.lock == same.lock, lock.engine) == (False, same.engine)


def test_an_archive_that_is_cut_off_leaves_what_runs(tmp_path: Path) -> None:
    running = tmp_path / "releases" / "before"
    running.mkdir(parents=True)
    (tmp_path / "current").symlink_to(running)
    (tmp_path / "half.tar.gz").write_bytes(bundle().archive[:1000])
    done = subprocess.run(
        ["sh", INSTALLER, tmp_path / "half.tar.gz", "next", "lock", "engine"],
        check=False, capture_output=True, env={"VELOZ_ROOT": str(tmp_path), "PATH": "/usr/local/bin:/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode
    assert [path.name for path in (tmp_path / "releases").iterdir()] == ["before"]
    assert (tmp_path / "current").readlink() == running
