"""The bill of materials of an image, as CycloneDX's JSON on standard output: `sbom.py NAME VERSION FOLDER`.

FOLDER is what the image has besides its base image: `bin/veloz_engine` and the environment `venv`. The Debian packages are
those of the system that this runs on, which has the same base image.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import Distribution, distributions
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

# The older License field of some packages holds the whole text.
_LONGEST_LICENSE = 100


def bill(name: str, version: str, folder: Path) -> Bom:
    bom = Bom()
    bom.metadata.component = Component(name=f"veloz-{name}", version=version, type=ComponentType.CONTAINER)
    bom.components.update([engine(folder / "bin" / "veloz_engine", version), interpreter()])
    bom.components.update(python_packages(folder / "venv"))
    bom.components.update(debian_packages())
    bom.register_dependency(bom.metadata.component, bom.components)
    return bom


def engine(path: Path, version: str) -> Component:
    digest = HashType(alg=HashAlgorithm.SHA_256, content=sha256(path.read_bytes()).hexdigest())
    purl = PackageURL("generic", None, path.name, version)
    return _component(path.name, version, purl, ComponentType.APPLICATION, hashes=[digest])


def interpreter() -> Component:
    version = platform.python_version()
    return _component("python", version, PackageURL("generic", None, "python", version), ComponentType.PLATFORM)


def python_packages(venv: Path) -> Iterator[Component]:
    for package in distributions(path=[str(path) for path in venv.glob("lib/python3*/site-packages")]):
        name = package.name.lower().replace("_", "-").replace(".", "-")
        purl = PackageURL("pypi", None, name, package.version)
        yield _component(name, package.version, purl, licenses=_licenses(package))


def _licenses(package: Distribution) -> list[License]:
    for field in ("License-Expression", "License"):
        for text in package.metadata.get_all(field) or []:
            if text and len(text) <= _LONGEST_LICENSE:
                return [LicenseFactory().make_from_string(text)]
    return []


def debian_packages() -> Iterator[Component]:
    system = platform.freedesktop_os_release()
    distribution = f"{system['ID']}-{system.get('VERSION_ID', '')}".rstrip("-")
    command = ["dpkg-query", "--show", "--showformat", "${Package}\t${Version}\t${Architecture}\t${db:Status-Status}\n"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for line in listed.splitlines():
        name, version, architecture, status = line.split("\t")
        if status == "installed":
            qualifiers = {"arch": architecture, "distro": distribution}
            yield _component(name, version, PackageURL("deb", system["ID"], name, version, qualifiers))


def _component(
    name: str,
    version: str,
    purl: PackageURL,
    kind: ComponentType = ComponentType.LIBRARY,
    *,
    licenses: list[License] | None = None,
    hashes: list[HashType] | None = None,
) -> Component:
    return Component(
        name=name, version=version, type=kind, bom_ref=purl.to_string(), purl=purl, licenses=licenses, hashes=hashes
    )


if __name__ == "__main__":
    sys.stdout.write(JsonV1Dot6(bill(sys.argv[1], sys.argv[2], Path(sys.argv[3]))).output_as_string(indent=1) + "\n")
