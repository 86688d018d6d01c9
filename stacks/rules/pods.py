"""Rules for pods, whatever object they are in: what the Pod Security Standard "restricted" asks for, and more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from stacks.rules.kubernetes import has_containers
from stacks.rules.model import Given, Inputs, Resource, Rule, image_problem, items, known, mapping

# Where the pod is in each kind.
_PODS: Final[Mapping[str, tuple[str, ...]]] = {
    "kubernetes:core/v1:Pod": (),
    "kubernetes:apps/v1:Deployment": ("spec", "template"),
    "kubernetes:apps/v1:StatefulSet": ("spec", "template"),
    "kubernetes:apps/v1:DaemonSet": ("spec", "template"),
    "kubernetes:apps/v1:ReplicaSet": ("spec", "template"),
    "kubernetes:core/v1:ReplicationController": ("spec", "template"),
    "kubernetes:batch/v1:Job": ("spec", "template"),
    "kubernetes:batch/v1:CronJob": ("spec", "jobTemplate", "spec", "template"),
}
_JOBS: Final = frozenset({"kubernetes:batch/v1:Job", "kubernetes:batch/v1:CronJob"})
# Which container may have which capability besides none: nobody needs one.
CAPABILITIES: Final[dict[str, frozenset[str]]] = {}
_SECCOMP = frozenset({"RuntimeDefault", "Localhost"})
_SEPARATE = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace")


class Box(NamedTuple):
    """One container. `main`: it serves; others prepare."""

    name: str
    spec: Inputs
    main: bool

    @property
    def security(self) -> Inputs:
        return mapping(self.spec.get("securityContext"))


def place(resource: Resource) -> tuple[str, ...]:
    """Where the pod's spec is."""
    return (*_PODS[resource.type], "spec")


def pod(resource: Resource) -> Inputs:
    """The pod's spec."""
    found: Any = resource.inputs
    for key in place(resource):
        found = mapping(found.get(key))
    return mapping(found)


def boxes(resource: Resource) -> Iterator[Box]:
    spec = pod(resource)
    for one in map(mapping, items(spec.get("containers"))):
        yield Box(str(one.get("name")), one, main=resource.type not in _JOBS)
    for one in map(mapping, items(spec.get("initContainers"))):
        # A sidecar is an init container that is started again: it serves too.
        yield Box(str(one.get("name")), one, main=one.get("restartPolicy") == "Always")


def _each(find: Callable[[Box, Inputs], Iterator[str]]) -> Callable[[Resource, Given], Iterator[str]]:
    """A rule for every container, told its pod's security context."""

    def check(resource: Resource, _given: Given) -> Iterator[str]:
        context = mapping(pod(resource).get("securityContext"))
        for box in boxes(resource):
            for what in find(box, context):
                yield f"container {box.name}: {what}"

    return check


def _pinned(box: Box, _pod: Inputs) -> Iterator[str]:
    if problem := image_problem(box.spec.get("image")):
        yield problem


def _limits(box: Box, _pod: Inputs) -> Iterator[str]:
    resources = mapping(box.spec.get("resources"))
    for kind in ("requests", "limits"):
        for what in ("cpu", "memory"):
            if not mapping(resources.get(kind)).get(what):
                yield f"it has no {kind} of {what}"


def _probes(box: Box, _pod: Inputs) -> Iterator[str]:
    for probe in ("livenessProbe", "readinessProbe"):
        if box.main and not mapping(box.spec.get(probe)):
            yield f"it has no {probe}"


def _unprivileged(box: Box, _pod: Inputs) -> Iterator[str]:
    if box.security.get("privileged"):
        yield "it is privileged"
    if box.security.get("allowPrivilegeEscalation") is not False:
        yield "it may gain privileges"
    if box.security.get("procMount") not in {None, "Default"}:
        yield f"procMount is {box.security['procMount']}"


def _capabilities(box: Box, _pod: Inputs) -> Iterator[str]:
    capabilities = mapping(box.security.get("capabilities"))
    if "ALL" not in items(capabilities.get("drop")):
        yield "it does not drop all capabilities"
    for added in items(capabilities.get("add")):
        if added not in CAPABILITIES.get(box.name, frozenset()):
            yield f"it has the capability {added}"


def _read_only(box: Box, _pod: Inputs) -> Iterator[str]:
    if box.security.get("readOnlyRootFilesystem") is not True:
        yield "its root file system can be written"


def _user(box: Box, pod: Inputs) -> Iterator[str]:
    if box.security.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
        yield "it may run as root"
    user = box.security.get("runAsUser", pod.get("runAsUser"))
    if known(user) and user == 0:
        yield "it runs as root"


def _seccomp(box: Box, pod: Inputs) -> Iterator[str]:
    profile = mapping(box.security.get("seccompProfile")) or mapping(pod.get("seccompProfile"))
    if profile.get("type") not in _SECCOMP:
        yield f"its seccomp profile is {profile.get('type') or 'not set'}"


def _host_ports(box: Box, _pod: Inputs) -> Iterator[str]:
    for port in map(mapping, items(box.spec.get("ports"))):
        if port.get("hostPort"):
            yield f"it takes port {port['hostPort']} of the host"


def _namespaces(resource: Resource, _given: Given) -> Iterator[str]:
    spec = pod(resource)
    for field in _SEPARATE:
        if spec.get(field):
            yield f"{field} is true"


def _host_paths(resource: Resource, _given: Given) -> Iterator[str]:
    for volume in map(mapping, items(pod(resource).get("volumes"))):
        if path := mapping(volume.get("hostPath")).get("path"):
            yield f"volume {volume.get('name')} is the host's {path}"


def _scratch(resource: Resource, _given: Given) -> Iterator[str]:
    for volume in map(mapping, items(pod(resource).get("volumes"))):
        if isinstance(empty := volume.get("emptyDir"), Mapping) and not empty.get("sizeLimit"):
            yield f"volume {volume.get('name')} may fill the node's disk"


def _account(resource: Resource, _given: Given) -> Iterator[str]:
    spec = pod(resource)
    if (spec.get("serviceAccountName") or "default") == "default":
        yield "it has the namespace's default service account"
    if spec.get("automountServiceAccountToken") is not False:
        yield "it gets a service account's token"
    for volume in map(mapping, items(spec.get("volumes"))):
        sources = map(mapping, items(mapping(volume.get("projected")).get("sources")))
        # A pod gets this one whatever automountServiceAccountToken says.
        if any(source.get("serviceAccountToken") is not None for source in sources):
            yield f"volume {volume.get('name')} has a service account's token"
    if spec.get("enableServiceLinks") is not False:
        yield "every service of the namespace is in its environment"


def _restart(resource: Resource, _given: Given) -> Iterator[str]:
    policy = pod(resource).get("restartPolicy") or "Always"
    if resource.type not in _JOBS and policy != "Always":
        yield f"its restart policy is {policy}"


def _kind(resource: Resource, _given: Given) -> Iterator[str]:
    if not resource.type.startswith("kubernetes:") or resource.type in PODS:
        return
    kind = resource.type.removeprefix("kubernetes:")
    # What it leaves out may be anything in the object that it changes.
    if kind.endswith("Patch"):
        yield f"it is a {kind}, a part of an object that no rule sees whole"
    elif has_containers(resource.inputs):
        yield f"it has containers, and no rule knows where a {kind} has its pods"


PODS: Final = frozenset(_PODS)
RULES: Final = (
    Rule("k8s-image-pinned", "Images have a tag or digest that stays", "Name a version's tag, or a digest.",
         PODS, _each(_pinned)),
    Rule("k8s-limits", "Containers have requests and limits of CPU and memory", "Set resources from the description's sizes.",
         PODS, _each(_limits)),
    Rule("k8s-probes", "Containers that serve have liveness and readiness probes", "Give it both.", PODS, _each(_probes)),
    Rule("k8s-unprivileged", "Containers have no privileges and gain none",
         "securityContext: privileged unset, allowPrivilegeEscalation false.", PODS, _each(_unprivileged)),
    Rule("k8s-capabilities", "Containers drop all capabilities and add none that is not allowed",
         "Drop ALL; a capability that a container cannot do without goes into CAPABILITIES, with the reason.",
         PODS, _each(_capabilities)),
    Rule("k8s-read-only", "Root file systems are read-only", "readOnlyRootFilesystem: true; write into a volume.",
         PODS, _each(_read_only)),
    Rule("k8s-user", "Nothing runs as root", "runAsNonRoot: true, and the program's own runAsUser.", PODS, _each(_user)),
    Rule("k8s-seccomp", "System calls are filtered", "seccompProfile: RuntimeDefault.", PODS, _each(_seccomp)),
    Rule("k8s-host-ports", "No container takes a port of the host", "Reach it through a Service.", PODS, _each(_host_ports)),
    Rule("k8s-host-namespaces", "No namespace is the host's or shared", "Leave it out.", PODS, _namespaces),
    Rule("k8s-host-paths", "Nothing of the host's files is in a pod", "Use a claim, a ConfigMap or a Secret.", PODS, _host_paths),
    Rule("k8s-scratch", "Scratch space has a limit", "Set emptyDir.sizeLimit.", PODS, _scratch),
    Rule("k8s-account", "Pods have their own service account and no token",
         "serviceAccountName of their own, automountServiceAccountToken false, enableServiceLinks false.", PODS, _account),
    Rule("k8s-restart", "Pods come back after a crash", "restartPolicy: Always.", PODS, _restart),
    Rule("k8s-kind", "Pods are in kinds that the rules know, and nothing is a patch",
         "Declare the whole object, pods as a Deployment, StatefulSet, DaemonSet, Job or CronJob.", None, _kind),
)  # fmt: skip
