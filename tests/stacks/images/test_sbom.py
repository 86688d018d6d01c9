"""The bill of materials of a small image folder: CycloneDX's schema holds, and nothing is missing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from stacks.images.context import ROOT

pytestmark = pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="no dpkg-query: this is not Debian")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a folder whose environment is the one the tests run in."""
    folder = tmp_path_factory.mktemp("image")
    (folder / "bin").mkdir()
    (folder / "bin" / "veloz_engine").write_bytes(b"an engine")
    (folder / "venv").symlink_to(sys.prefix)
    command = [sys.executable, str(ROOT / "stacks/images/sbom.py"), "gateway", "1.2.3", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return str(done.stdout)


@pytest.fixture(scope="module")
def components(text: str) -> dict[str, dict[str, Any]]:
    return {component["purl"]: component for component in json.loads(text)["components"]}


def test_the_schema_holds(text: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_it_is_of_the_image_and_the_image_depends_on_all(text: str, components: dict[str, dict[str, Any]]) -> None:
    bill = json.loads(text)
    image = bill["metadata"]["component"]
    assert (image["name"], image["version"], image["type"]) == ("veloz-gateway", "1.2.3", "container")
    needs = {one["ref"]: one.get("dependsOn", []) for one in bill["dependencies"]}
    assert set(needs[image["bom-ref"]]) == {component["bom-ref"] for component in components.values()}


def test_the_engine_is_named_by_its_hash(components: dict[str, dict[str, Any]]) -> None:
    engine = components["pkg:generic/veloz_engine@1.2.3"]
    assert engine["hashes"] == [{"alg": "SHA-256", "content": sha256(b"an engine").hexdigest()}]


def test_every_python_package_is_there(components: dict[str, dict[str, Any]]) -> None:
    site = [str(path) for path in Path(sys.prefix).glob("lib/python3*/site-packages")]
    installed = {(re.sub(r"[_.]", "-", package.name.lower()), package.version) for package in distributions(path=site)}
    listed = {tuple(purl.removeprefix("pkg:pypi/").split("@")) for purl in components if purl.startswith("pkg:pypi/")}
    assert listed == installed
    assert "aiohttp" in dict(installed)


def test_licenses_are_named_where_packages_name_them(components: dict[str, dict[str, Any]]) -> None:
    (rich,) = [component for component in components.values() if component["name"] == "rich"]
    assert rich["licenses"] == [{"license": {"id": "MIT"}}]


def test_every_debian_package_is_there(components: dict[str, dict[str, Any]]) -> None:
    status = Path("/var/lib/dpkg/status").read_text().split("\n\n")
    there = [block for block in status if "Status: install ok installed" in block]
    installed = {block.split("\n")[0].removeprefix("Package: ") for block in there}
    listed = {component["name"] for purl, component in components.items() if purl.startswith("pkg:deb/debian/")}
    assert listed == installed
