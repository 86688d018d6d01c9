import json
from pathlib import Path

import pytest

from app import build
from app.build import BuildError, build_engine

PRESETS = {
    "version": 6,
    "configurePresets": [{"name": "release", "binaryDir": "${sourceDir}/build/${presetName}"}],
    "buildPresets": [{"name": "release", "configurePreset": "release"}],
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project of the engine's form, whose source a test writes."""
    (tmp_path / "CMakePresets.json").write_text(json.dumps(PRESETS))
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.25)\nproject(x LANGUAGES CXX)\nadd_executable(veloz_engine main.cpp)\n"
    )
    monkeypatch.setattr(build, "ENGINE_DIR", tmp_path)
    return tmp_path


def ignore(_done: float, _step: str) -> None:
    """Progress nobody watches."""


def test_a_build_tells_its_progress_and_a_second_one_compiles_nothing(project: Path) -> None:
    (project / "main.cpp").write_text("int main() {}\n")
    parts: list[float] = []
    built = build_engine("release", lambda done, _step: parts.append(done))
    assert built == project / "build/release/veloz_engine"
    assert parts == [0, 0.5, 1, 1]
    before = built.stat().st_mtime_ns
    build_engine("release", ignore)
    assert built.stat().st_mtime_ns == before


def test_what_the_compiler_said_is_in_the_refusal(project: Path) -> None:
    (project / "main.cpp").write_text("int main() { return nothing_of_that_name; }\n")
    with pytest.raises(BuildError, match="nothing_of_that_name"):
        build_engine("release", ignore)


def test_a_missing_compiler_is_named_with_the_command_that_installs_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(project))
    with pytest.raises(BuildError, match=r"No C\+\+ compiler was found\. Install one: apt install g\+\+"):
        build_engine("release", ignore)
