"""Runs a Pulumi program without an engine and records what it declares.

Pulumi keeps its state in context variables and an event loop: each program has a thread with an empty context and a loop
of its own, so programs neither meet each other nor the loop of the test that runs them.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import runpy
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import yaml
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime import mocks, rpc, set_all_config, settings, stack
from pulumi.runtime.proto import resource_pb2

PROJECT: Final = "veloz"
MAIN: Final = Path(__file__).resolve().parents[2] / "__main__.py"
# `("uploads", 0, "content")`; () is everything.
Where: TypeAlias = tuple[str | int, ...]
_SECONDS = 60


class Resource(NamedTuple):
    """A resource as the program registered it. Others are given by their logical names."""

    type: str
    name: str
    inputs: dict[str, Any]
    secrets: frozenset[Where]
    depends_on: frozenset[str]
    # The same with their types, for names that several types share.
    after: frozenset[tuple[str, str]]
    # Input → resources whose outputs are in it.
    uses: dict[str, frozenset[str]]
    parent: str
    protect: bool
    retain: bool
    delete_before_replace: bool
    replace_with: frozenset[str]
    ignore_changes: tuple[str, ...]
    replace_on_changes: tuple[str, ...]

    def secret(self, *where: str | int) -> bool:
        """Whether the value at this place of the inputs is encrypted in the state."""
        return any(where[: len(place)] == place for place in self.secrets)


class Recording(NamedTuple):
    resources: tuple[Resource, ...]
    outputs: dict[str, Any]
    secret_outputs: frozenset[Where]

    def of(self, kind: str) -> tuple[Resource, ...]:
        """All of a type, e.g. `docker:index/container:Container`."""
        return tuple(resource for resource in self.resources if resource.type == kind)

    def named(self, name: str) -> Resource:
        """By logical name; it must be the only one."""
        (found,) = (resource for resource in self.resources if resource.name == name)
        return found


def record(
    program: Path | Callable[[], None] = MAIN,
    config: Mapping[str, str] = {},
    *,
    stack_name: str = "test",
    secret: frozenset[str] = frozenset({"veloz:secrets"}),
    preview: bool = False,
    computed: Callable[[str, dict[str, Any]], dict[str, Any]] = lambda _kind, _inputs: {},
) -> Recording:
    """Run it; `config` as the CLI hands it over, see `configured`. `computed`: outputs beyond the inputs, by type.

    What the program raises is raised here.
    """
    monitor = _Monitor(computed)

    def play() -> None:
        if callable(program):
            program()
        else:
            runpy.run_path(str(program), run_name="__main__")

    async def main() -> None:
        set_all_config(dict(config), sorted(secret & set(config)))
        told = settings.Settings(
            project=PROJECT,
            stack=stack_name,
            monitor=monitor,
            engine=mocks.MockEngine(None),
            dry_run=preview,
            root_directory=str(MAIN.parent),
        )
        settings.configure(told)
        await stack.run_in_stack(play)

    _alone(lambda: asyncio.run(main()))
    return Recording(tuple(monitor.recorded), *monitor.exported)


def configured(stack_file: str | Mapping[str, Any], secrets: Mapping[str, str] | None = None) -> dict[str, str]:
    """What the CLI makes of a stack file's text (or its `config`), with `secrets` as `veloz:secrets`."""
    config = yaml.safe_load(stack_file)["config"] if isinstance(stack_file, str) else stack_file
    told = {name: value if isinstance(value, str) else json.dumps(value) for name, value in config.items()}
    if secrets is not None:
        told["veloz:secrets"] = json.dumps(dict(secrets))
    return told


class _Monitor(mocks.MockMonitor):
    """Answers with the inputs themselves, their secrets still marked as such."""

    def __init__(self, computed: Callable[[str, dict[str, Any]], dict[str, Any]]) -> None:
        super().__init__(_NoCalls())
        self.computed = computed
        self.recorded: list[Resource] = []
        self.exported: tuple[dict[str, Any], frozenset[Where]] = ({}, frozenset())
        self._lock = threading.Lock()

    def RegisterResource(  # noqa: N802 (gRPC's name)
        self, request: resource_pb2.RegisterResourceRequest
    ) -> resource_pb2.RegisterResourceResponse:
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == "pulumi:pulumi:Stack":
            return resource_pb2.RegisterResourceResponse(urn=urn)
        inputs, secrets = _plain(request.object)
        answer = struct_pb2.Struct()
        answer.CopyFrom(request.object)
        answer.update(self.computed(request.type, inputs))
        with self._lock:
            self.recorded.append(
                Resource(
                    type=request.type,
                    name=request.name,
                    inputs=inputs,
                    secrets=secrets,
                    depends_on=_names(request.dependencies),
                    after=frozenset((_type(urn), _name(urn)) for urn in request.dependencies),
                    uses={name: _names(of.urns) for name, of in request.propertyDependencies.items() if of.urns},
                    parent=_name(request.parent),
                    protect=request.protect,
                    retain=request.retainOnDelete,
                    delete_before_replace=request.deleteBeforeReplace,
                    replace_with=_names(request.replace_with),
                    ignore_changes=tuple(request.ignoreChanges),
                    replace_on_changes=tuple(request.replaceOnChanges),
                )
            )
        identity = request.name if request.custom else ""
        return resource_pb2.RegisterResourceResponse(urn=urn, id=identity, object=answer)

    def RegisterResourceOutputs(  # noqa: N802 (gRPC's name)
        self, request: resource_pb2.RegisterResourceOutputsRequest
    ) -> empty_pb2.Empty:
        if "::pulumi:pulumi:Stack::" in request.urn:
            self.exported = _plain(request.outputs)
        return empty_pb2.Empty()


class _NoCalls(mocks.Mocks):
    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        raise AssertionError(f"{args.name} was read, not declared")

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        raise AssertionError(f"the program asks a provider: {args.token}")


def _alone(work: Callable[[], None]) -> None:
    raised: list[BaseException] = []

    def caught() -> None:
        try:
            contextvars.Context().run(work)
        except BaseException as error:  # noqa: BLE001 (raised again by the caller)
            raised.append(error)

    thread = threading.Thread(target=caught, daemon=True)
    thread.start()
    thread.join(_SECONDS)
    if thread.is_alive():
        raise TimeoutError(f"the program did not end within {_SECONDS} s")
    if raised:
        raise raised[0]


def _name(urn: str) -> str:
    return urn.rsplit("::", 1)[-1]


def _type(urn: str) -> str:
    return urn.split("::")[2].rsplit("$", 1)[-1]


def _names(urns: Iterable[str]) -> frozenset[str]:
    return frozenset(map(_name, urns))


def _plain(struct: struct_pb2.Struct) -> tuple[dict[str, Any], frozenset[Where]]:
    """Without the marks of secrets, and where those were."""
    found: list[Where] = []
    value: Any = _unmarked(json_format.MessageToDict(struct), (), found)
    return value, frozenset(found)


def _unmarked(value: object, where: Where, found: list[Where]) -> object:
    if isinstance(value, dict):
        if value.get(rpc._special_sig_key) == rpc._special_secret_sig:
            found.append(where)
            return _unmarked(value["value"], where, found)
        return {name: _unmarked(item, (*where, name), found) for name, item in value.items()}
    if isinstance(value, list):
        return [_unmarked(item, (*where, i), found) for i, item in enumerate(value)]
    # Every number travels as a float.
    return int(value) if isinstance(value, float) and value.is_integer() else value
