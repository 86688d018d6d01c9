"""The namespace of a deployment, and what every object in it is named and labelled by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import pulumi
from pulumi_kubernetes import Provider
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from stacks import names
from stacks.spec import Deployment, Role

# https://kubernetes.io/docs/concepts/security/pod-security-admission/
POD_SECURITY: Final = {
    f"pod-security.kubernetes.io/{mode}{suffix}": value
    for mode in ("enforce", "audit", "warn")
    for suffix, value in (("", "restricted"), ("-version", "latest"))
}
_ROLE: Final = "app.kubernetes.io/component"


class Scope(NamedTuple):
    """Where the objects of a deployment go."""

    spec: Deployment
    namespace: pulumi.Input[str]
    options: pulumi.ResourceOptions

    def metadata(
        self, name: str, role: Role | None = None, annotations: Mapping[str, pulumi.Input[str]] | None = None
    ) -> ObjectMetaArgs:
        """Of an object; without a role, of one that belongs to all."""
        return ObjectMetaArgs(
            name=name,
            namespace=self.namespace,
            labels=names.kubernetes_labels(self.spec, role) if role else _common(self.spec),
            annotations=dict(annotations) if annotations else None,
        )

    def after(self, resources: Sequence[pulumi.Resource]) -> Scope:
        """The same, for objects that come after those."""
        later = pulumi.ResourceOptions.merge(self.options, pulumi.ResourceOptions(depends_on=[*resources]))
        return self._replace(options=later)

    def selector(self, role: Role) -> LabelSelectorArgs:
        return LabelSelectorArgs(match_labels=names.selector(self.spec, role))


def namespace(spec: Deployment) -> Scope:
    """Open the namespace. It is protected: with it go the volumes, and with those the data."""
    provider = Provider(
        "cluster",
        context=spec.kubernetes.context or None,
        # Else a changed one is deleted first, and pods that start meanwhile, or after a stop there, find nothing.
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
        # What is described is so, whoever wrote there last: a person in haste, or an autoscaler that was turned off since.
        enable_patch_force=True,
    )
    made = core.Namespace(
        spec.name,
        metadata=ObjectMetaArgs(name=spec.name, labels={**_common(spec), **POD_SECURITY}),
        opts=pulumi.ResourceOptions(provider=provider, protect=True),
    )
    return Scope(
        spec,
        made.metadata.apply(lambda metadata: metadata.name or spec.name),
        pulumi.ResourceOptions(provider=provider),
    )


def _common(spec: Deployment) -> dict[str, str]:
    """The labels of what belongs to no role."""
    return {label: text for label, text in names.kubernetes_labels(spec, "gateway").items() if label != _ROLE}
