"""Rendered without secrets it is what it is with them, but for the Secrets: a stack file says which secrets there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks.commands.failures import Failure
from stacks.commands.output import Output
from stacks.commands.project import Project, read
from stacks.commands.pulumi_cli import Configuration, Pulumi
from stacks.commands.rendering import rendered
from stacks.commands.stack import Stack
from stacks.components.k8s.mounts import SECRETS_SUM
from stacks.document import load
from stacks.secrets import optional, required
from tests.stacks.manifests import IMAGE, values

EXTERNAL = {
    "postgres": {"store": "external", "host": "db.example.com"},
    "redis": {"store": "external", "host": "cache.example.com"},
}
OPTIONAL = ("admin_password", "binance_api_key", "binance_api_secret")
CIPHER = {"secure": "v1:none:of-this-can-be-read"}


class Decrypting(Pulumi):
    """The CLI, as far as a configuration goes."""

    def __init__(self, project: Project, secrets: dict[str, str]) -> None:
        super().__init__(project.root / "pulumi", project, {})
        self._secrets = secrets

    def configuration(self, stack: str) -> Configuration:  # noqa: ARG002
        return Configuration({}, self._secrets)


def described(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - as a stack file has it
    edge = {"hostname": "veloz.example.com"} | changes.pop("edge", {})
    return {"topology": "kubernetes", "edge": edge, "images": {"veloz": IMAGE}} | changes


def project_of(root: Path, deployment: dict[str, Any], secrets: object) -> Project:
    (root / "Pulumi.yaml").write_text("name: veloz\n")
    config = {"veloz:deployment": deployment, "veloz:secrets": secrets}
    (root / "Pulumi.mine.yaml").write_text(yaml.safe_dump({"encryptionsalt": "v1:none", "config": config}))
    return read(root)


def objects(text: str) -> list[dict[str, Any]]:
    """All but the Secrets, and what is summed of those."""
    found = [each for each in yaml.safe_load_all(text) if each["kind"] != "Secret"]
    for each in found:
        annotations = (
            each["spec"].get("template", {}).get("metadata", {}).get("annotations", {}) if "spec" in each else {}
        )
        annotations.pop(SECRETS_SUM, None)
    return found


@pytest.mark.parametrize("names", [(), ("admin_password",), OPTIONAL], ids=len)
@pytest.mark.parametrize(
    "changes", [{}, {"edge": {"tls": {"source": "provided"}}}, EXTERNAL], ids=["usual", "provided", "external"]
)
def test_without_secrets_the_objects_are_the_same(
    names: tuple[str, ...], changes: dict[str, Any], tmp_path: Path
) -> None:
    deployment = described(**changes)
    spec = load(deployment)
    given = dict.fromkeys((*required(spec), *names), "")
    if names == OPTIONAL:
        assert set(names) <= set(optional(spec))
        given |= dict.fromkeys(optional(spec), "")
    given = {name: values()[name] for name in given}
    project = project_of(tmp_path, deployment, dict.fromkeys(given, CIPHER))
    whole = rendered(project, "mine", Stack("mine", project, Decrypting(project, given), Output()))
    without = rendered(project, "mine", None)
    assert objects(without) == objects(whole)
    assert len(list(yaml.safe_load_all(without))) == len(objects(without))
    for name in OPTIONAL:
        assert (f"VELOZ_{name.upper()}_FILE" in without) == (name in names)
    assert not [name for name, value in given.items() if value in without]
    assert CIPHER["secure"] not in without


def test_secrets_of_another_description_are_passed_over(tmp_path: Path) -> None:
    left = dict.fromkeys(("admin_password", "postgres_dsn", "registry_username", "tls_ca", "nonsense"), CIPHER)
    (tmp_path / "left").mkdir()
    (tmp_path / "clean").mkdir()
    wanted = project_of(tmp_path / "clean", described(), {"admin_password": CIPHER})
    assert rendered(project_of(tmp_path / "left", described(), left), "mine", None) == rendered(wanted, "mine", None)


@pytest.mark.parametrize("secrets", [None, {}, {"admin_password": None}], ids=["none", "empty", "null"])
def test_a_stack_without_secrets_is_rendered(secrets: object, tmp_path: Path) -> None:
    assert "VELOZ_ADMIN_PASSWORD_FILE" not in rendered(project_of(tmp_path, described(), secrets), "mine", None)


def test_names_that_are_encrypted_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"veloz:secrets: is encrypted as a whole.*config set --secret --path"):
        rendered(project_of(tmp_path, described(), CIPHER), "mine", None)
