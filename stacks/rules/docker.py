"""Rules for containers, volumes and images of Docker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from stacks.rules.model import CONTAINER, Given, Inputs, Resource, Rule, image_problem, items, known, mapping

VOLUME: Final = "docker:index/volume:Volume"
IMAGE: Final = "docker:index/image:Image"
REMOTE_IMAGE: Final = "docker:index/remoteImage:RemoteImage"
ROLE_LABEL: Final = "io.veloz.role"
# Which role may have which capability besides none. Nobody needs one: every program runs as its own user and listens above 1024.
CAPABILITIES: Final[dict[str, frozenset[str]]] = {}
_LOG_DRIVERS = frozenset({"json-file", "local"})
_HOST_MODES = ("networkMode", "pidMode", "ipcMode", "usernsMode", "cgroupnsMode")


def role(container: Inputs) -> str:
    return next(
        (
            str(one.get("value"))
            for one in map(mapping, items(container.get("labels")))
            if one.get("label") == ROLE_LABEL
        ),
        "",
    )


def one_shot(container: Inputs) -> bool:
    """It does its work and ends."""
    return container.get("mustRun") is False


def carrier(container: Inputs) -> bool:
    """Never started: Docker takes no upload into a read-only container, so this one carries files into a volume."""
    return container.get("start") is False


def _pinned(resource: Resource, _given: Given) -> Iterator[str]:
    field = {CONTAINER: "image", IMAGE: "imageName", REMOTE_IMAGE: "name"}[resource.type]
    if problem := image_problem(resource.inputs.get(field)):
        yield problem


def _limits(resource: Resource, _given: Given) -> Iterator[str]:
    inputs = resource.inputs
    if carrier(inputs):
        return
    memory = inputs.get("memory")
    if not memory:
        yield "it has no limit of memory"
    elif inputs.get("memorySwap") != memory:
        yield f"memorySwap is {inputs.get('memorySwap')}, its memory {memory:g}: it may use swap"
    if not inputs.get("cpus") and not (inputs.get("cpuQuota") and inputs.get("cpuPeriod")):
        yield "it has no limit of CPU"


def _health(resource: Resource, _given: Given) -> Iterator[str]:
    if one_shot(resource.inputs):
        return
    tests = items(mapping(resource.inputs.get("healthcheck")).get("tests"))
    if not tests or tests[0] == "NONE":
        yield "it has no health check"


def _unprivileged(resource: Resource, _given: Given) -> Iterator[str]:
    if resource.inputs.get("privileged"):
        yield "it is privileged"
    for field in ("devices", "deviceRequests", "deviceCgroupRules", "gpus"):
        if resource.inputs.get(field):
            yield f"it has {field} of the host"


def _capabilities(resource: Resource, _given: Given) -> Iterator[str]:
    capabilities = mapping(resource.inputs.get("capabilities"))
    if "ALL" not in items(capabilities.get("drops")):
        yield "it does not drop all capabilities"
    allowed = CAPABILITIES.get(role(resource.inputs), frozenset())
    for added in items(capabilities.get("adds")):
        if str(added).removeprefix("CAP_") not in allowed:
            yield f"it has the capability {added}"


def _no_new_privileges(resource: Resource, _given: Given) -> Iterator[str]:
    options = [str(option).replace("=", ":") for option in items(resource.inputs.get("securityOpts"))]
    if not {"no-new-privileges", "no-new-privileges:true"} & set(options):
        yield "it may gain privileges"
    for option in options:
        if option.endswith((":unconfined", ":disable")):
            yield f"it turns a guard off: {option}"


def _read_only(resource: Resource, _given: Given) -> Iterator[str]:
    if not carrier(resource.inputs) and resource.inputs.get("readOnly") is not True:
        yield "its root file system can be written"


def _user(resource: Resource, _given: Given) -> Iterator[str]:
    user = resource.inputs.get("user")
    if carrier(resource.inputs) or not known(user):
        return
    if not user:
        yield "it runs as the image's user, which may be root"
    elif str(user).split(":")[0] in {"0", "root"}:
        yield f"it runs as {user}"


def _host_paths(resource: Resource, _given: Given) -> Iterator[str]:
    if resource.type == VOLUME:
        options = mapping(resource.inputs.get("driverOpts"))
        if options.get("device"):
            yield f"it is the host's {options['device']}"
        return
    for path in _mounted(resource.inputs):
        yield f"it has the host's {path}" + (", which is root on the host" if str(path).endswith("docker.sock") else "")


def _mounted(container: Inputs) -> Iterator[Any]:
    for volume in map(mapping, items(container.get("volumes"))):
        if path := volume.get("hostPath"):
            yield path
        if origin := volume.get("fromContainer"):
            yield f"container {origin}'s volumes"
        # A name that is a path makes Docker mount that path.
        if str(volume.get("volumeName") or "").startswith("/"):
            yield volume["volumeName"]
    for mount in map(mapping, items(container.get("mounts"))):
        if mount.get("type") not in {"volume", "tmpfs"} or str(mount.get("source") or "").startswith("/"):
            yield mount.get("source") or mount.get("type")
        # Docker makes the volume with these, as it does a Volume with such driverOpts.
        if device := mapping(mapping(mount.get("volumeOptions")).get("driverOptions")).get("device"):
            yield device


def _namespaces(resource: Resource, _given: Given) -> Iterator[str]:
    for field in _HOST_MODES:
        value = str(resource.inputs.get(field) or "")
        if value == "host" or value.startswith("container:"):
            yield f"{field} is {value}"


def _published(resource: Resource, given: Given) -> Iterator[str]:
    if resource.inputs.get("publishAllPorts"):
        yield "it publishes every port of its image"
    for port in map(mapping, items(resource.inputs.get("ports"))):
        external, address = port.get("external"), port.get("ip") or "0.0.0.0"  # noqa: S104 - what Docker takes it for
        if role(resource.inputs) != given.publisher:
            yield f"it publishes {address}:{external}, and only the {given.publisher} may publish"
        elif known(address) and address != given.address:
            yield f"it publishes on {address}, and the description says {given.address}"
        elif known(external) and (external is None or int(external) not in given.ports):
            yield f"it publishes port {external}, and the description says {', '.join(map(str, sorted(given.ports)))}"


def _restart(resource: Resource, _given: Given) -> Iterator[str]:
    restart = resource.inputs.get("restart") or "no"
    if not one_shot(resource.inputs) and restart not in {"unless-stopped", "always"}:
        yield f"its restart policy is {restart}"


def _logs(resource: Resource, _given: Given) -> Iterator[str]:
    if one_shot(resource.inputs):
        return
    driver, options = resource.inputs.get("logDriver"), mapping(resource.inputs.get("logOpts"))
    if driver not in _LOG_DRIVERS:
        yield f"its log driver is {driver or 'not set'}"
    elif not (options.get("max-size") and options.get("max-file")):
        yield "its log grows without limit"


_BOXES = frozenset({CONTAINER})
RULES: Final = (
    Rule("docker-image-pinned", "Images have a tag or digest that stays", "Name a version's tag, or a digest.",
         frozenset({CONTAINER, IMAGE, REMOTE_IMAGE}), _pinned),
    Rule("docker-limits", "Containers have limits of memory and CPU, and no swap",
         "Set memory, memory_swap to the same, and cpus, from the description's sizes.", _BOXES, _limits),
    Rule("docker-health", "Containers have a health check", "Give it a healthcheck.", _BOXES, _health),
    Rule("docker-unprivileged", "Containers have no privileges and no devices", "Leave it out.", _BOXES, _unprivileged),
    Rule("docker-capabilities", "Containers drop all capabilities and add none that is not allowed",
         "Drop ALL; a capability that a role cannot do without goes into CAPABILITIES, with the reason.", _BOXES, _capabilities),
    Rule("docker-no-new-privileges", "Containers cannot gain privileges, and no guard is off",
         "security_opts: no-new-privileges:true, and nothing unconfined.", _BOXES, _no_new_privileges),
    Rule("docker-read-only", "Root file systems are read-only", "read_only=True; write into a tmpfs or volume.",
         _BOXES, _read_only),
    Rule("docker-user", "Nothing runs as root", "Set user to the program's own uid.", _BOXES, _user),
    Rule("docker-host-paths", "Nothing of the host's files is in a container", "Use a named volume, or upload the file.",
         frozenset({CONTAINER, VOLUME}), _host_paths),
    Rule("docker-host-namespaces", "No namespace is the host's or another container's", "Leave it out.", _BOXES, _namespaces),
    Rule("docker-published", "Only what is declared is published", "Reach it through the networks, or declare it under edge.",
         _BOXES, _published),
    Rule("docker-restart", "Containers come back after a crash and a reboot", "restart: unless-stopped.", _BOXES, _restart),
    Rule("docker-logs", "Logs have limits", "log_driver json-file with max-size and max-file.", _BOXES, _logs),
)  # fmt: skip
