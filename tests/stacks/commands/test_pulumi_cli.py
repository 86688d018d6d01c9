"""Where the CLI is found, what it runs with, and how it is had where it is not."""

from __future__ import annotations

import os
import sys
import urllib.error
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pulumi.automation
import pytest

from stacks.commands.failures import Failure
from stacks.commands.output import Output
from stacks.commands.project import Project, check_name, read
from stacks.commands.pulumi_cli import Pulumi, environment, find, install, local, needs_passphrase
from tests.stacks.commands.conftest import Place, pulumi_program

PROGRAM = Path("/opt/pulumi/bin/pulumi")


def project(root: Path, text: str = "name: veloz\nruntime: python\nstackConfigDir: stacks/config\n") -> Project:
    (root / "Pulumi.yaml").write_text(text)
    return read(root)


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_it_is_found_on_path_first_then_where_its_installers_put_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    environ = {"PATH": str(tmp_path / "bin"), "PULUMI_HOME": str(home)}
    assert find(environ) is None
    installed = executable(home / "versions" / version("pulumi") / "bin" / "pulumi")
    assert find(environ) == installed
    by_script = executable(home / "bin" / "pulumi")
    assert find(environ) == by_script
    on_path = executable(tmp_path / "bin" / "pulumi")
    assert find(environ) == on_path


def test_where_it_is_not_its_own_installer_is_asked_and_its_failure_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_network(*_: Any, **__: Any) -> None:  # noqa: ANN401
        raise urllib.error.URLError("name resolution failed")

    monkeypatch.setattr(pulumi.automation.PulumiCommand, "install", no_network)
    with pytest.raises(Failure, match=r"neither on PATH.*name resolution failed.*by hand"):
        install(Output(), {"PULUMI_HOME": str(tmp_path)})
    assert f"Its own installer puts it into {tmp_path}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("environ", "text", "credentials", "expected"),
    [
        ({}, "", "", True),
        ({"PULUMI_BACKEND_URL": "s3://bucket"}, "", "", False),
        ({}, "backend:\n  url: gs://bucket\n", "", False),
        ({}, "", '{"current": "https://api.example"}', False),
        ({}, "", '{"current": ""}', True),
        ({}, "", "no JSON", True),
    ],
)
def test_the_state_is_local_unless_another_backend_was_chosen(
    tmp_path: Path,
    environ: dict[str, str],
    text: str,
    credentials: str,
    expected: bool,  # noqa: FBT001
) -> None:
    if credentials:
        (tmp_path / "credentials.json").write_text(credentials)
    ours = project(tmp_path, f"name: veloz\n{text}")
    environ = {"PULUMI_HOME": str(tmp_path), "PATH": "/bin", **environ}
    assert local(ours, environ) is expected
    told = environment(ours, environ, PROGRAM)
    folder = tmp_path / ".veloz" / "pulumi"
    assert (told.get("PULUMI_BACKEND_URL") == folder.as_uri()) is expected
    assert folder.exists() is expected
    assert Pulumi(PROGRAM, ours, told).backend


def test_this_python_is_first_on_its_path_and_nothing_asks_for_updates(tmp_path: Path) -> None:
    told = environment(project(tmp_path), {"PATH": "/usr/bin", "PULUMI_HOME": str(tmp_path)}, PROGRAM)
    assert told["PATH"].split(os.pathsep) == [str(Path(sys.executable).parent), str(PROGRAM.parent), "/usr/bin"]
    assert told["PULUMI_SKIP_UPDATE_CHECK"] == "true"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, True),
        ({"PULUMI_BACKEND_URL": "s3://bucket"}, True),
        ({"PULUMI_BACKEND_URL": "https://api.example"}, False),
        ({"PULUMI_CONFIG_PASSPHRASE": ""}, False),
        ({"PULUMI_CONFIG_PASSPHRASE_FILE": "/x"}, False),
    ],
)
def test_a_passphrase_is_made_only_where_one_is_needed(tmp_path: Path, environ: dict[str, str], expected: bool) -> None:  # noqa: FBT001
    assert needs_passphrase(project(tmp_path), {"PULUMI_HOME": str(tmp_path), **environ}) is expected


@pytest.mark.parametrize("name", ["", "-x", "a b", "../x", "a/b/c/d", "x;y", "x" * 101])
def test_what_is_no_stacks_name_is_refused(name: str) -> None:
    with pytest.raises(Failure, match="STACK="):
        check_name(name)


def test_a_folder_without_a_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="--project DIR"):
        read(tmp_path)
    (tmp_path / "Pulumi.yaml").write_text("[")
    with pytest.raises(Failure, match="cannot be read"):
        read(tmp_path)


def test_a_secret_never_stands_on_a_command_line(place: Place, tmp_path: Path) -> None:
    """The real CLI behind a script that writes down what it was called with."""
    log = tmp_path / "calls"
    script = tmp_path / "pulumi"
    script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {log}\nexec {pulumi_program(place.environ)} "$@"\n')
    script.chmod(0o755)
    place.write("single", {"topology": "single"})
    environ = environment(place.project, place.environ, script) | {"PULUMI_CONFIG_PASSPHRASE": "x"}
    ours = Pulumi(script, place.project, environ)
    ours.run(["stack", "init", "single", "--no-select"])
    ours.set_secret("single", "api_key", "a value\nof two lines")
    assert ours.configuration("single").secrets == {"api_key": "a value\nof two lines"}
    assert "veloz:secrets.api_key" in log.read_text()
    assert "a value" not in log.read_text()
    assert "a value" not in repr(ours.configuration("single"))
    assert not (Path(environ["PULUMI_HOME"]) / "credentials.json").exists()


def test_what_it_refuses_is_a_sentence(place: Place) -> None:
    with pytest.raises(Failure, match=r"There is no stack single in file://.*make init STACK=single"):
        place.stack("single").pulumi.configuration("single")
