"""`python -m stacks` and `make` as a person and a machine meet them: exit status, streams, an interrupt."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from stacks.commands import releases
from stacks.commands.initialising import initialise
from tests.stacks.commands.conftest import REPOSITORY, UNASKED, Place

COMMANDS = ("init", "preview", "preflight", "up", "rollback", "smoke", "releases", "destroy", "render", "pulumi")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name not in {"STACK", "TOPOLOGY", "CONFIRM"}}
    command = [sys.executable, "-m", "stacks", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, env=environ, capture_output=True, text=True, timeout=60, check=False)


def test_help_names_every_command() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert all(f" {name} " in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("command", ["up", "releases"])
def test_without_a_stack_it_is_refused_in_words_and_in_json(command: str) -> None:
    done = run(command, "--json")
    assert done.returncode == 1
    assert done.stderr == "veloz: No stack is named. Name one, e.g. STACK=compose.\n"
    assert msgspec.json.decode(done.stdout) == {
        "ok": False,
        "error": "No stack is named. Name one, e.g. STACK=compose.",
    }


def test_wrong_usage_is_status_2() -> None:
    assert run("up", "--nonsense").returncode == 2


def test_a_stack_without_a_file_and_a_file_that_is_refused_are_told(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: veloz\n")
    assert "make init STACK=mine" in run("render", "--stack", "mine", "--project", str(tmp_path)).stderr
    (tmp_path / "Pulumi.mine.yaml").write_text("config:\n  veloz:deployment:\n    topology: cloud\n")
    done = run("render", "--stack", "mine", "--project", str(tmp_path))
    assert done.returncode == 1
    assert "topology = cloud" in done.stderr
    assert "Traceback" not in done.stderr


def test_kubernetes_is_rendered_to_standard_output_alone() -> None:
    done = run("render", "--stack", "kubernetes")
    assert done.returncode == 0
    assert done.stdout.startswith("apiVersion: v1\nkind: Namespace\n")
    assert "Secrets" in done.stderr
    assert "only kubernetes is rendered" in run("render", "--stack", "compose").stderr


@pytest.mark.parametrize(
    ("arguments", "expected", "absent"),
    [
        (["init", "STACK=x"], "stacks init", "--hostname"),
        (["init", "STACK=x", "TOPOLOGY=compose", "HOSTNAME=veloz.test"], "--hostname 'veloz.test'", "--renew"),
        (["init", "STACK=x", "RENEW=1"], "--renew", "--hostname"),
        (["destroy", "STACK=x", "CONFIRM=x"], "CONFIRM='x'", "--hostname"),
    ],
)
def test_make_passes_on_what_was_said_and_no_variable_of_the_shell(
    arguments: list[str], expected: str, absent: str
) -> None:
    environ = os.environ | {"HOSTNAME": "the-shells-own"}
    done = subprocess.run(
        ["make", "--dry-run", *arguments],
        cwd=REPOSITORY,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert expected in done.stdout
    assert absent not in done.stdout
    assert "the-shells-own" not in done.stdout


def test_what_make_says_of_a_fresh_clone_is_not_on_standard_output(tmp_path: Path) -> None:
    """`make render > file` is YAML alone."""
    command = ["make", "--dry-run", f"VENV={tmp_path}/venv", "render", "STACK=x"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=True)
    said = [line for line in done.stdout.splitlines() if line.startswith("echo ")]
    assert said
    assert all(line.endswith(" >&2") for line in said)


def test_an_unreachable_target_changes_nothing_in_the_state_neither(place: Place) -> None:
    place.write("single", {"topology": "single", "docker": {"host": f"unix://{place.root}/nothing.sock"}})
    initialise(place.stack("single"))
    before = place.state()
    done = place.run("up", "--stack", "single", "--json")
    assert done.code == 1
    assert f"have unix://{place.root}/nothing.sock: No such file or directory" in done.err
    assert "nothing was changed" in done.document["error"]
    assert place.state() == before
    assert not place.project.releases("single").exists()


@pytest.mark.timeout(300)
def test_an_interrupt_ends_in_order_and_the_next_up_goes_on(place: Place, free_port: int) -> None:
    slow = {"topology": "single", "edge": {"http_port": free_port}, "gateways": {"settings": {"log_level": "ERROR"}}}
    place.write("single", slow)
    initialise(place.stack("single"))
    command = place.command("up", "--stack", "single", program=UNASKED)
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=place.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        for line in process.stdout:
            if "created data" in line:  # the other thing takes 20 s
                break
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        said = process.stderr.read()
        assert process.wait(timeout=90) == 130
    assert "Stopped. Pulumi finished what it had begun" in said
    assert time.monotonic() - started < 90
    assert [one.outcome for one in releases.read(place.project.releases("single"))] == ["begun"]
    names = {path.name for path in place.project.config.iterdir()}
    assert names == {"Pulumi.single.yaml", "Pulumi.single.releases.jsonl"}
    stack = place.stack("single")
    previewed = stack.preview(place.project.deployment("single"), stack.pulumi.configuration("single"))
    assert [change.name for change in previewed.changes] in ([], ["gateway"])
