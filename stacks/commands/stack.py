"""One stack under a command's hands, and what all commands do with it."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from app.settings import SettingsError
from stacks import names, policy
from stacks.commands import docker_endpoint, docker_facts, findings, preflight, smoke
from stacks.commands.changes import CONTAINER, Change, Progress, Steps, name_of
from stacks.commands.client import Edge
from stacks.commands.failures import Failure
from stacks.commands.output import Output
from stacks.commands.project import Project
from stacks.commands.pulumi_cli import Configuration, Done, Pulumi, environment, find, install
from stacks.commands.pulumi_errors import explain
from stacks.gateway_settings import gateway_settings
from stacks.rules.model import Violation
from stacks.spec import Deployment

READY_SECONDS: Final = 300.0
_QUIET_SECONDS: Final = 15.0
# What was taken away or stopped behind Pulumi's back comes back.
_REFRESHED: Final = ("--refresh",)
_LOST: Final = "it is not on the Docker host any more"
# What a container outlives.
_STAYS: Final = frozenset({"same", "update"})


class Previewed(NamedTuple):
    """`anew`: URNs of what pulumi holds for good and is gone or broken; `up` makes it again.

    `replaced`: names of the containers that are replaced, those among them; `networks`: of the networks.
    """

    changes: Sequence[Change]
    violations: Sequence[Violation]
    resources: int
    anew: Sequence[str] = ()
    replaced: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()

    def document(self) -> dict[str, Any]:
        return {
            "changes": [one._asdict() for one in self.changes],
            "violations": [one._asdict() for one in self.violations],
            "resources": self.resources,
        }


class Stack(NamedTuple):
    name: str
    project: Project
    pulumi: Pulumi
    output: Output

    @classmethod
    def open(cls, name: str, project: Project, output: Output) -> Stack:
        """With the Pulumi CLI, which is installed when it is nowhere. Raises Failure."""
        environ = dict(os.environ)
        program = find(environ) or install(output, environ)
        return cls(name, project, Pulumi(program, project, environment(project, environ, program)), output)

    def aim(self, spec: Deployment) -> None:
        """Pulumi's Docker is the one that the pre-flight looks at: it does not know the docker command's contexts."""
        if spec.topology != "kubernetes" or not spec.images.veloz:
            docker_endpoint.aim(self.pulumi.environ, docker_endpoint.find(spec, self.pulumi.environ))

    def check(self, spec: Deployment, configuration: Configuration) -> list[findings.Finding]:
        """The pre-flight, shown. Raises Failure when something is refused; nothing is changed then."""
        with self.output.step("pre-flight"):
            found = preflight.check(spec, configuration, self.pulumi)
        findings.show(found, self.output)
        return found

    def preview(
        self,
        spec: Deployment,
        configuration: Configuration,
        file: Path | None = None,
        broken: Mapping[str, str] = MappingProxyType({}),
    ) -> Previewed:
        """What would change and what the policy says of it. `file`: another stack file than the stack's own.

        `broken`: containers that must be made anew, and why.
        """
        failed = self.failed()
        replace = [word for urn in failed for word in ("--replace", urn)]
        arguments = ["preview", *_REFRESHED, "--json", "--show-sames", "--stack", self.name, *replace, *_file(file)]
        with self.output.step("preview") as progress:
            done = self.pulumi.run(arguments, check=False)
            steps = steps_of(done)
            if done.code:
                raise Failure(explain(f"{steps.errors()}\n{done.err}", backend=self.pulumi.backend))
            changes, lost = steps.changes(), self.lost(spec, steps.kept_images())
            anew = [*failed, *lost]
            changes += [Change("replace", "Image", name_of(urn), (_LOST,)) for urn in lost]
            containers = steps.containers()
            for name, why in broken.items():
                urn, op = containers.get(name, ("", ""))
                if op in _STAYS:
                    anew.append(urn)
                    changes.append(Change("replace", "Container", name, (why,)))
            replaced = frozenset(name for name, (urn, op) in containers.items() if op not in _STAYS or urn in anew)
            resources = steps.resources()
            if not resources:  # the stack itself is one
                raise Failure(
                    "Pulumi's preview names no resource, so the policy has nothing to judge. Nothing was changed."
                )
            violations = policy.check(resources, policy.given(spec, configuration.secrets.values()))
            progress(f"{len(resources)} resources, {len(changes)} to change, {len(violations)} against the policy")
        return Previewed(changes, violations, len(resources), anew, replaced, steps.replaced_networks())

    def resources(self) -> list[Mapping[str, Any]]:
        """What its state holds, as `pulumi stack export` has it. Raises Failure."""
        document = json.loads(self.pulumi.run(["stack", "export", "--stack", self.name]).out)
        return list((document.get("deployment") or {}).get("resources") or ())

    def containers(self) -> set[str]:
        """What Docker's containers that its state knows are called on their host."""
        known = (one for one in self.resources() if one["type"] == CONTAINER)
        return {str((one.get("outputs") or one.get("inputs") or {}).get("name")) for one in known}

    def failed(self) -> list[str]:
        """URNs of the containers that run once and ended badly: their outcome would be held against every later update."""
        return [
            one["urn"]
            for one in self.resources()
            if one["type"] == CONTAINER and (out := one.get("outputs") or {}).get("attach") and out.get("exitCode")
        ]

    def lost(self, spec: Deployment, kept: Mapping[str, str]) -> list[str]:
        """Pulumi does not look whether an image that it built is still on the Docker host."""
        if spec.topology == "kubernetes" or spec.images.registry:
            return []
        return [urn for urn, image in kept.items() if docker_facts.lacks(spec, self.pulumi.environ, image)]

    def show(self, previewed: Previewed) -> None:
        """Raises Failure when the policy is broken."""
        if previewed.changes:
            self.output.table(("change", "kind", "name", "what"), [one.row for one in previewed.changes])
            for said in filter(None, map(left_behind, previewed.changes)):
                self.output.say(said, "yellow")
        else:
            self.output.say("Nothing changes.")
        if previewed.violations:
            lines = "\n".join(f"  {one}" for one in previewed.violations)
            raise Failure(f"The policy is broken, and nothing was changed:\n{lines}")

    def apply(self, verb: str, arguments: Sequence[str] = ()) -> Progress:
        """`pulumi up` or `destroy`, told line by line. Raises Failure with pulumi's reason."""
        progress = Progress()
        with self._heard(progress) as take:
            command = [verb, *_REFRESHED, "--yes", "--skip-preview", "--json", "--stack", self.name, *arguments]
            done = self.pulumi.stream(command, take)
        if done.code:
            raise Failure(explain("\n".join([*progress.errors, done.err]), backend=self.pulumi.backend))
        return progress

    @contextmanager
    def _heard(self, progress: Progress) -> Iterator[Any]:
        """Says what is done, and while nothing is, what is waited for."""
        spoke, ended = threading.Event(), threading.Event()

        def remind() -> None:
            while not ended.is_set():
                if not spoke.wait(_QUIET_SECONDS) and not ended.is_set() and (names := progress.under_way()):
                    self.output.say(f"  … {', '.join(names)}")
                spoke.clear()

        def take(event: Mapping[str, Any]) -> None:
            for line in progress.take(event):
                self.output.say(f"  {line}")
                spoke.set()

        watcher = threading.Thread(target=remind, daemon=True)
        watcher.start()
        try:
            yield take
        finally:
            ended.set()
            spoke.set()
            watcher.join()

    def edge(self, configuration: Configuration) -> Edge:
        """Where clients come in, as the stack's outputs say. Raises Failure."""
        outputs = self.pulumi.outputs(self.name)
        if not outputs.get("url") or not outputs.get("address"):
            raise Failure(
                f"Stack {self.name} says no address: it is not deployed. Deploy it: make up STACK={self.name}"
            )
        authority = configuration.secrets.get("tls_ca", "")
        return Edge(str(outputs["url"]), str(outputs["address"]), int(outputs["port"]), authority)

    def wait(self, edge: Edge, seconds: float) -> None:
        """Until it is ready through the edge. Raises Failure."""
        with self.output.step(f"waiting for {edge.url}") as progress:
            took = asyncio.run(smoke.wait_ready(edge, seconds, progress))
            progress(f"ready after {took:.1f} s")

    def smoke(self, spec: Deployment, configuration: Configuration, edge: Edge) -> list[smoke.Step]:
        """Raises Failure."""
        try:
            instruments = gateway_settings(spec).symbols
        except SettingsError:
            instruments = ()
        with self.output.step("smoke test"):
            steps = asyncio.run(smoke.smoke(edge, configuration.secrets.get("api_key", ""), instruments))
        self.output.table(
            ("step", "seen", "ms"), [(one.what, one.detail, f"{one.seconds * 1000:.0f}") for one in steps]
        )
        return steps


def left_behind(change: Change) -> str:
    """What is said of data that a change leaves where they are; empty when it leaves none."""
    again = "it is taken up again, with its data, when the description has its store again"
    if change.op == "keep":
        (name,) = change.fields
        return f"Volume {name} holds data and stays on the Docker host; {again}. To delete it: docker volume rm {name}"
    if (change.op, change.kind) == ("delete", "StatefulSet"):
        name = f"{names.CLAIM}-{change.name}-0"
        return (
            f"The claim {name} holds data and stays; {again}. To delete it: kubectl delete persistentvolumeclaim {name}"
        )
    return ""


def _file(file: Path | None) -> list[str]:
    return ["--config-file", str(file)] if file else []


def steps_of(done: Done) -> Steps:
    """What comes before and after the document is nobody's. Raises Failure for a success that says nothing which can be read."""
    try:
        document, _ = json.JSONDecoder().raw_decode(done.out, max(done.out.find("{"), 0))
    except json.JSONDecodeError as error:
        if done.code:
            return Steps((), ())
        raise Failure(
            f"Pulumi's preview cannot be read ({error}), so nobody knows what would change. Nothing was changed. "
            "Try another version of the Pulumi CLI."
        ) from error
    return Steps.of(document)
