"""Checkov has nothing to say against the rendered objects."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stacks.document import STACKS, read_stack
from stacks.spec import Deployment
from tests.stacks.manifests import example, secrets_of
from tests.stacks.strategies import DIGEST

CONFIG = Path(__file__).parents[2] / ".ci" / "checkov.yaml"
# Its libraries do not go together with ours: `make setup` gives it an environment of its own.
CHECKOV = Path(sys.prefix) / "checkers" / "bin" / "checkov"


def checkov(spec: Deployment, directory: Path, *, image: str, config: Path | None) -> dict[str, Any]:
    from stacks.render import render  # noqa: PLC0415

    program = str(CHECKOV) if CHECKOV.exists() else shutil.which("checkov")
    if program is None:
        pytest.skip("checkov is not installed: make setup")
    (directory / "objects.yaml").write_text(render(spec, secrets_of(spec), image))
    asked = [program, "--framework", "kubernetes", "--file", "objects.yaml", "--output", "json", "--skip-download"]
    asked += ["--config-file", str(config)] if config else []
    done = subprocess.run(asked, cwd=directory, capture_output=True, text=True, timeout=110, check=False)
    found = json.loads(done.stdout)
    assert isinstance(found, dict), done.stderr
    return found


def failed(found: dict[str, Any]) -> list[str]:
    return [
        f"{each['check_id']} {each['resource']}: {each['check_name']}" for each in found["results"]["failed_checks"]
    ]


def test_nothing_fails_in_the_example(tmp_path: Path) -> None:
    found = checkov(read_stack(STACKS / "Pulumi.kubernetes.yaml"), tmp_path, image="veloz:0.1.0-abc", config=CONFIG)
    assert failed(found) == []
    assert found["summary"]["parsing_errors"] == 0
    assert found["summary"]["passed"] > 500


def test_nothing_at_all_fails_with_digests(tmp_path: Path) -> None:
    images = {
        "haproxy": f"haproxy:3.2.25{DIGEST}",
        **{name: f"{name}:1.2.3{DIGEST}" for name in ("postgres", "redis", "prometheus", "grafana")},
    }
    found = checkov(example(images=images), tmp_path, image=f"veloz{DIGEST}", config=None)
    assert failed(found) == []
    assert found["summary"]["skipped"] == 0
