"""The objects of a deployment as YAML, for `kubectl apply --server-side -f -`, for review, for a repository of manifests.

The program itself is run, without an engine and without the provider's plugin.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterable
from typing import Any, Final

import yaml
from google.protobuf import json_format
from pulumi.runtime import mocks, rpc, settings, stack
from pulumi.runtime.proto import resource_pb2

from stacks import kubernetes
from stacks.components.k8s.mounts import SECRETS_SUM
from stacks.secrets import Secrets, required, useful
from stacks.spec import Deployment

NOTE: Final = "The Secrets veloz-secrets and veloz-tls are left out; without them no pod starts."
# What an object needs comes before it.
_ORDER: Final = (
    "Namespace",
    "ServiceAccount",
    "NetworkPolicy",
    "Secret",
    "ConfigMap",
    "Service",
    "StatefulSet",
    "Deployment",
    "PodDisruptionBudget",
    "HorizontalPodAutoscaler",
    "Ingress",
)
_FIRST: Final = ("apiVersion", "kind", "metadata", "name")
_KUBERNETES: Final = "kubernetes:"
_SECONDS: Final = 60


def render(spec: Deployment, secrets: Secrets | None, image: str, there: Iterable[str] = ()) -> str:
    """`secrets` None: all but the Secrets, for a stack that has those named in `there` beside the required ones.

    The same description gives the same text.
    """
    given = secrets or Secrets(**useful(dict.fromkeys((*required(spec), *there), "none"), spec))
    objects = _objects(spec, given, image)
    _leave_to_autoscalers(objects)
    if secrets is None:
        objects = [_without_sum(found) for found in objects if found["kind"] != "Secret"]
    return "---\n".join(_text(found) for found in sorted(objects, key=_place))


def _place(found: dict[str, Any]) -> tuple[int, str]:
    return _ORDER.index(found["kind"]), found["metadata"]["name"]


def _leave_to_autoscalers(objects: list[dict[str, Any]]) -> None:
    """A number that is applied again would undo theirs, or be refused as a conflict."""
    scaled = {each["spec"]["scaleTargetRef"]["name"] for each in objects if each["kind"] == "HorizontalPodAutoscaler"}
    for each in objects:
        if each["kind"] == "Deployment" and each["metadata"]["name"] in scaled:
            del each["spec"]["replicas"]


def _without_sum(found: dict[str, Any]) -> dict[str, Any]:
    """There is nothing to sum."""
    annotations = found.get("spec", {}).get("template", {}).get("metadata", {}).get("annotations", {})
    annotations.pop(SECRETS_SUM, None)
    return found


class _Monitor(mocks.MockMonitor):
    """Answers with what was declared. Whatever the program asks of a provider is an error."""

    def __init__(self) -> None:
        self.objects: list[dict[str, Any]] = []

    def RegisterResource(  # noqa: N802 (gRPC's name)
        self, request: resource_pb2.RegisterResourceRequest
    ) -> resource_pb2.RegisterResourceResponse:
        if request.type.startswith(_KUBERNETES):
            self.objects.append(_plain(json_format.MessageToDict(request.object)))
        return resource_pb2.RegisterResourceResponse(
            urn=self.make_urn(request.parent, request.type, request.name),
            id=request.name if request.custom else "",
            object=request.object,
        )


def _objects(spec: Deployment, secrets: Secrets, image: str) -> list[dict[str, Any]]:
    """Pulumi keeps its state in context variables: the program has a thread with an empty context and a loop of its own."""
    monitor = _Monitor()
    raised: list[BaseException] = []

    async def declare() -> None:
        told = settings.Settings(
            project="veloz",
            stack="render",
            monitor=monitor,
            engine=mocks.MockEngine(None),
            dry_run=False,
            root_directory="",
        )
        settings.configure(told)

        def program() -> None:
            kubernetes.deploy(spec, secrets, image)

        await stack.run_in_stack(program)

    def run() -> None:
        try:
            asyncio.run(declare())
        except BaseException as error:  # noqa: BLE001 (raised again below)
            raised.append(error)

    thread = threading.Thread(target=contextvars.Context().run, args=(run,), daemon=True)
    thread.start()
    thread.join(_SECONDS)
    if thread.is_alive():
        raise TimeoutError(f"the program did not end within {_SECONDS} s")
    if raised:
        raise raised[0]
    return monitor.objects


def _plain(value: Any) -> Any:  # noqa: ANN401 (JSON)
    """Without the marks of secrets; whole numbers as such, which in the engine's messages are all floats."""
    if isinstance(value, dict):
        if value.get(rpc._special_sig_key) == rpc._special_secret_sig:  # noqa: SLF001 (nowhere public)
            return _plain(value["value"])
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such, and no aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002
        return True


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent)


def _text(found: dict[str, Any]) -> str:
    return yaml.dump(_sorted(found), Dumper=_Dumper, sort_keys=False, width=10_000)


def _sorted(value: Any) -> Any:  # noqa: ANN401 (JSON)
    """What an object is comes before what is in it; messages keep no order."""
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value, key=lambda name: (name not in _FIRST, name))}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
