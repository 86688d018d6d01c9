"""Before anything is changed: is the target there, does the deployment fit, is all there that it needs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

from stacks.commands import certificate_findings, cluster_facts, cluster_findings, docker_facts, docker_findings
from stacks.commands.findings import Finding
from stacks.commands.pulumi_cli import Configuration, Pulumi
from stacks.secrets import problems
from stacks.spec import Deployment

_PLUGINS: Final[Mapping[str, tuple[str, ...]]] = {
    "single": ("docker",),
    "compose": ("docker",),
    "kubernetes": ("kubernetes",),
}


def check(spec: Deployment, configuration: Configuration, pulumi: Pulumi) -> list[Finding]:
    """Asks the target and this machine; changes nothing, but that a missing plugin is loaded when all else is well."""
    found = [*configured(spec, configuration), *_target(spec, pulumi)]
    if not any(one.verdict == "refused" for one in found):
        found += _plugins(spec, pulumi)
    return found


def _target(spec: Deployment, pulumi: Pulumi) -> Iterator[Finding]:
    if spec.topology != "kubernetes":
        yield from docker_findings.findings(spec, docker_facts.read(spec, pulumi.environ))
        return
    yield from cluster_findings.findings(spec, cluster_facts.read(spec))
    if not spec.images.veloz:
        yield from docker_findings.building(spec, docker_facts.read(spec, pulumi.environ))


def configured(spec: Deployment, configuration: Configuration) -> Iterator[Finding]:
    yield Finding("description", "valid", "valid")
    wrong = problems(configuration.secrets, spec)
    for one in wrong:
        yield Finding(one.path, "given", one.rule, "refused", f"To mend it: {through_us(one.remedy)}.")
    if not wrong:
        yield Finding("secrets", "given", f"{len(configuration.secrets)} encrypted")
    yield from certificate_findings.findings(spec, configuration.secrets)


def through_us(remedy: str, stack: str = "…") -> str:
    """A command of pulumi's with the backend and the passphrase that ours have."""
    command = remedy.removeprefix("pulumi ")
    return remedy if command == remedy else f"python -m stacks pulumi --stack {stack} -- {command}"


def plugins(spec: Deployment) -> Sequence[str]:
    """Which providers it needs: what builds the image, and what runs it."""
    building = () if spec.images.veloz else ("docker",)
    return tuple(dict.fromkeys((*_PLUGINS[spec.topology], *building)))


def _plugins(spec: Deployment, pulumi: Pulumi) -> Iterator[Finding]:
    for name in plugins(spec):
        number = version(f"pulumi-{name}")
        want = f"{name} {number}"
        if place := _plugin(name, number, pulumi.environ):
            yield Finding("plugin", want, place)
            continue
        done = pulumi.run(["plugin", "install", "resource", name, number], check=False)
        if done.code == 0:
            yield Finding("plugin", want, "just loaded")
            continue
        said = (done.err.strip().splitlines() or ["it cannot be loaded"])[-1].removeprefix("error: ")
        yield Finding("plugin", want, f"absent: {said}", "refused",
                      f"Put pulumi-resource-{name} on PATH, or: pulumi plugin install resource {name} {number}")  # fmt: skip


def _plugin(name: str, number: str, environ: Mapping[str, str]) -> str:
    """Where it is; empty when it is nowhere."""
    home = Path(environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    if (home / "plugins" / f"resource-{name}-v{number}").is_dir():
        return "in ~/.pulumi/plugins"
    found = shutil.which(f"pulumi-resource-{name}", path=environ.get("PATH", os.defpath))
    return f"{found}, whatever its version" if found else ""
