"""What a preview says would change, and what an update is doing: pulumi's steps and events in few words."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from stacks.rules.model import Resource

_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "create": ("creating", "created"),
    "update": ("changing", "changed"),
    "delete": ("deleting", "deleted"),
    "replace": ("replacing", "replaced"),
    "create-replacement": ("creating anew", "created anew"),
    "delete-replaced": ("deleting the old", "deleted the old"),
    "refresh": ("reading", "read"),
    "read": ("reading", "read"),
    "import": ("importing", "imported"),
}
# Of a replacement only one of its three steps is told.
_QUIET: Final = frozenset({"same", "read", "refresh", "create-replacement", "delete-replaced"})
_GONE: Final = frozenset({"delete", "delete-replaced", "discard"})
_STACK: Final = "pulumi:pulumi:Stack"
_IMAGE: Final = "docker:index/image:Image"
CONTAINER: Final = "docker:index/container:Container"
_NETWORK: Final = "docker:index/network:Network"
_MOST_FIELDS: Final = 4


class Change(NamedTuple):
    """`fields`: what of the resource differs; of one that is kept though it is not described any more, its own name."""

    op: str
    kind: str
    name: str
    fields: tuple[str, ...] = ()

    @property
    def row(self) -> tuple[str, str, str, str]:
        shown = ", ".join(self.fields[:_MOST_FIELDS]) + (", …" if len(self.fields) > _MOST_FIELDS else "")
        return self.op, self.kind, self.name, shown


class Steps(NamedTuple):
    """A preview's document."""

    steps: Sequence[Mapping[str, Any]]
    diagnostics: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Steps:
        return cls(document.get("steps") or (), document.get("diagnostics") or ())

    def changes(self) -> list[Change]:
        return [
            Change("keep", _kind(_type(step)), name_of(step["urn"]), (str(step["oldState"]["id"]),))
            if _kept(step["op"], step.get("oldState"))
            else Change(step["op"], _kind(_type(step)), name_of(step["urn"]), _fields(step))
            for step in self.steps
            if step["op"] not in _QUIET and not _internal(_type(step))
        ]

    def resources(self) -> list[Resource]:
        """What is there afterwards, for the policy."""
        kept: dict[str, Resource] = {}
        for step in self.steps:
            state = step.get("newState")
            if state and step["op"] not in _GONE:
                options = {key: state[key] for key in ("protect", "retainOnDelete") if key in state}
                kept[step["urn"]] = Resource(state["type"], name_of(step["urn"]), state.get("inputs") or {}, options)
        return list(kept.values())

    def kept_images(self) -> dict[str, str]:
        """URN → name of the images that were built and stay as they are, by pulumi's word."""
        kept = (step for step in self.steps if step["op"] == "same" and _type(step) == _IMAGE)
        return {step["urn"]: str(step["newState"]["inputs"].get("imageName", "")) for step in kept}

    def containers(self) -> dict[str, tuple[str, str]]:
        """Name → URN and what happens, of Docker's containers that are there afterwards."""
        there = [step for step in self.steps if _type(step) == CONTAINER and step["op"] not in _GONE]
        return {name_of(step["urn"]): (step["urn"], step["op"]) for step in there}

    def replaced_networks(self) -> frozenset[str]:
        """Names of Docker's networks that are made anew."""
        return frozenset(
            name_of(step["urn"]) for step in self.steps if _type(step) == _NETWORK and "replace" in step["op"]
        )

    def errors(self) -> str:
        return "\n".join(str(one.get("message", "")) for one in self.diagnostics if one.get("severity") == "error")


class Progress:
    """An update's events, one line for each thing done."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.errors: list[str] = []
        self.corrupt = False
        self._since: dict[str, float] = {}

    def take(self, event: Mapping[str, Any]) -> Iterator[str]:
        """Lines worth showing. A failure's reason is kept for the end."""
        if metadata := _metadata(event, "resourcePreEvent"):
            if not _internal(metadata["type"]):
                self._since[metadata["urn"]] = time.monotonic()
        elif metadata := _metadata(event, "resOutputsEvent"):
            yield from self._ended(metadata, _WORDS.get(metadata["op"], ("", metadata["op"]))[1])
        elif metadata := _metadata(event, "resOpFailedEvent"):
            yield from self._ended(metadata, f"{_WORDS.get(metadata['op'], (metadata['op'],))[0]} failed:")
        elif (diagnostic := event.get("diagnosticEvent")) and diagnostic.get("severity") == "error":
            self.errors.append(str(diagnostic.get("message", "")))
        elif summary := event.get("summaryEvent"):
            self.counts = {op: n for op, n in (summary.get("resourceChanges") or {}).items() if op != "same"}

    def under_way(self) -> list[str]:
        """Names of what is being worked on, the longest first."""
        return [name_of(urn) for urn in self._since]

    def _ended(self, metadata: Mapping[str, Any], word: str) -> Iterator[str]:
        took = time.monotonic() - self._since.pop(metadata["urn"], time.monotonic())
        if metadata["op"] not in {"same", "read", "refresh", "replace"} and not _internal(metadata["type"]):
            if _kept(metadata["op"], metadata.get("old")):
                word = "left where it is:"
            yield f"{word} {name_of(metadata['urn'])} ({_kind(metadata['type'])}), {took:.1f} s"

    @property
    def changed(self) -> int:
        return sum(self.counts.values())


def _kept(op: str, state: Mapping[str, Any] | None) -> bool:
    """Whether Pulumi forgets a thing that goes on to be there."""
    return op == "delete" and bool((state or {}).get("retainOnDelete"))


def name_of(urn: str) -> str:
    return urn.rsplit("::", 1)[-1]


def _metadata(event: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    found = event.get(kind)
    return dict(found["metadata"]) if found else {}


def _type(step: Mapping[str, Any]) -> str:
    return str((step.get("newState") or step.get("oldState") or {}).get("type", ""))


def _kind(resource_type: str) -> str:
    """docker:index/container:Container → Container."""
    return resource_type.rsplit(":", 1)[-1]


def _internal(resource_type: str) -> bool:
    """What is no thing of the deployment: the stack itself, and providers."""
    return resource_type == _STACK or resource_type.startswith("pulumi:providers:")


def _fields(step: Mapping[str, Any]) -> tuple[str, ...]:
    detailed = step.get("detailedDiff") or {}
    return tuple(sorted(detailed)) or tuple(step.get("diffReasons") or ())
