"""Every pod keeps to the Pod Security Standards' level "restricted"; and what would not is noticed."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.stacks.manifests import usual
from tests.stacks.pod_security import violations

_OWN = ("containers", 0, "securityContext")
PLANTED: list[tuple[tuple[str | int, ...], Any]] = [
    (("hostNetwork",), True),
    (("hostPID",), True),
    (("hostIPC",), True),
    (("volumes", 0), {"name": "x", "hostPath": {"path": "/"}}),
    (("containers", 0, "ports", 0, "hostPort"), 8080),
    (("securityContext", "sysctls"), [{"name": "kernel.msgmax", "value": "1"}]),
    (("securityContext", "runAsUser"), 0),
    (("securityContext", "seLinuxOptions"), {"type": "spc_t"}),
    (("securityContext", "windowsOptions"), {"hostProcess": True}),
    (("securityContext", "appArmorProfile"), {"type": "Unconfined"}),
    ((*_OWN, "privileged"), True),
    ((*_OWN, "allowPrivilegeEscalation"), True),
    ((*_OWN, "capabilities"), {"drop": ["NET_RAW"]}),
    ((*_OWN, "capabilities", "add"), ["SYS_ADMIN"]),
    ((*_OWN, "runAsNonRoot"), False),
    ((*_OWN, "runAsUser"), 0),
    ((*_OWN, "procMount"), "Unmasked"),
    ((*_OWN, "seccompProfile"), {"type": "Unconfined"}),
    (("containers", 0, "livenessProbe"), {"httpGet": {"host": "example.com", "port": 80}}),
]


def test_every_pod_is_restricted() -> None:
    _, declared = usual()
    assert len(declared.pods()) == 6
    for role, pod in declared.pods().items():
        assert violations(pod["spec"], pod["metadata"].get("annotations")) == [], role


def test_the_namespace_refuses_all_others() -> None:
    spec, declared = usual()
    labels = declared.named("Namespace", spec.name)["metadata"]["labels"]
    for mode in ("enforce", "audit", "warn"):
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
        assert labels[f"pod-security.kubernetes.io/{mode}-version"] == "latest"


@pytest.mark.parametrize(("where", "value"), PLANTED, ids=lambda planted: str(planted)[:60])
def test_what_violates_it_is_noticed(where: tuple[str | int, ...], value: object) -> None:
    pod: Any = copy.deepcopy(usual()[1].pods()["gateway"]["spec"])
    at = pod
    for name in where[:-1]:
        at = at[name]
    at[where[-1]] = value
    assert violations(pod)
