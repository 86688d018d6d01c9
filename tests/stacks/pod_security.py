"""The Pod Security Standards' level "restricted", control by control: what of a pod's spec violates it.

Written from https://kubernetes.io/docs/concepts/security/pod-security-standards/ and independent of what declares the pods.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

_SAFE_SYSCTLS: Final = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}
_VOLUMES: Final = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
_SELINUX_TYPES: Final = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
_ADDED: Final = {"NET_BIND_SERVICE"}


def violations(spec: dict[str, Any], annotations: dict[str, str] | None = None) -> list[str]:
    """Of a pod's spec and annotations."""
    return [*_of_pod(spec, annotations or {}), *_of_containers(spec)]


def _of_pod(spec: dict[str, Any], annotations: dict[str, str]) -> Iterator[str]:
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield f"{name} is true"
    for volume in spec.get("volumes", []):
        if bad := set(volume) - {"name"} - _VOLUMES:
            yield f"volume {volume['name']} is a {', '.join(sorted(bad))}"
    context = spec.get("securityContext", {})
    for sysctl in context.get("sysctls", []):
        if sysctl["name"] not in _SAFE_SYSCTLS:
            yield f"sysctl {sysctl['name']} is not safe"
    yield from _shared("the pod", context)
    for name, value in annotations.items():
        if name.startswith("container.apparmor.security.beta.kubernetes.io/") and not (
            value == "runtime/default" or value.startswith("localhost/")
        ):
            yield f"AppArmor is {value}"


def _of_containers(spec: dict[str, Any]) -> Iterator[str]:
    pod = spec.get("securityContext", {})
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(kind, []):
            name, own = container["name"], container.get("securityContext", {})
            yield from _shared(name, own)
            yield from _privileges(name, own)
            if any("hostPort" in port and port["hostPort"] for port in container.get("ports", [])):
                yield f"{name} has a port of the host"
            if not own.get("runAsNonRoot", pod.get("runAsNonRoot")):
                yield f"{name} may run as root"
            profile = own.get("seccompProfile", pod.get("seccompProfile", {})).get("type")
            if profile not in {"RuntimeDefault", "Localhost"}:
                yield f"{name} has the seccomp profile {profile}"
            for handler in _handlers(container):
                if handler.get("host"):
                    yield f"{name} names a host in a probe or handler"


def _privileges(name: str, own: dict[str, Any]) -> Iterator[str]:
    if own.get("privileged"):
        yield f"{name} is privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{name} allows privilege escalation"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        yield f"{name} does not drop all capabilities"
    if bad := set(capabilities.get("add", [])) - _ADDED:
        yield f"{name} adds {', '.join(sorted(bad))}"
    if own.get("procMount", "Default") != "Default":
        yield f"{name} has the proc mount {own['procMount']}"


def _shared(who: str, context: dict[str, Any]) -> Iterator[str]:
    """What a pod's and a container's contexts have in common."""
    if context.get("runAsUser") == 0:
        yield f"{who} runs as root"
    options = context.get("seLinuxOptions", {})
    if options.get("type", "") not in _SELINUX_TYPES or options.get("user") or options.get("role"):
        yield f"{who} has SELinux options of its own"
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield f"{who} is a process of the host"
    if context.get("appArmorProfile", {}).get("type", "RuntimeDefault") == "Unconfined":
        yield f"{who} is not confined by AppArmor"


def _handlers(container: dict[str, Any]) -> Iterator[dict[str, Any]]:
    probes = [container.get(name, {}) for name in ("livenessProbe", "readinessProbe", "startupProbe")]
    hooks = list(container.get("lifecycle", {}).values())
    for one in [*probes, *hooks]:
        yield one.get("httpGet", {})
        yield one.get("tcpSocket", {})
