"""The balancer: the only one that is published. Its configuration changes without it.

The files are no part of the container: they lie in a volume beside which it keeps watch, and it takes new ones when its
own program finds them good. Before they are put there, a container that ends at once has asked the program the same of a
copy in a volume of its own: so `up` says what is wrong, and a balancer that starts again finds what it ran before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pulumi
import pulumi_docker as docker

from stacks import edge, names, watched
from stacks.balancer import TEMPLATES, Kind
from stacks.components.container import NOT_IN_PLACE, Part, container, tmpfs, ulimits
from stacks.components.files import Carrier, carrier
from stacks.components.network import Ground, labels
from stacks.reach import published
from stacks.secrets import Secrets
from stacks.spec import Role
from stacks.units import DOCKER_CPU_PERIOD, docker_cpu_quota, docker_memory

_ROLE: Final[Role] = "balancer"
_SCRATCH: Final = "/run/balancer"
_USERS: Final[dict[Kind, str]] = {"nginx": "101:101", "haproxy": "99:99"}
_STOP: Final[dict[Kind, str]] = {"nginx": "SIGQUIT", "haproxy": "SIGUSR1"}
# For requests under way; who follows a stream comes back.
_STOP_SECONDS: Final = 10
_LOG_LINES: Final = 12


def balancer(ground: Ground, secrets: Secrets, after: Sequence[pulumi.Resource]) -> docker.Container:
    """`after`: the gateways; a new one is there before requests are sent to it."""
    spec = ground.spec
    kind = edge.kind(spec)
    image = spec.images.nginx if kind == "nginx" else spec.images.haproxy
    wanted = watched.files(spec, secrets)
    tested = _test(ground, kind, image, carrier(ground, names.BALANCER_TEST, _ROLE, image, wanted, after))
    files = carrier(ground, _ROLE, _ROLE, image, wanted, [*after, tested])
    part = Part(
        name=_ROLE,
        role=_ROLE,
        image=image,
        size=spec.size(_ROLE),
        user=_USERS[kind],
        health=edge.PROBE,
        entrypoint=("sh", watched.SCRIPT, kind),
        files=files,
        follows_files=False,
        scratch=(_SCRATCH, "/tmp"),  # noqa: S108 - the container's own
        published=published(spec),
        sysctls=spec.limits.sysctls,
        stop_seconds=_STOP_SECONDS,
        stop_signal=_STOP[kind],
    )
    return container(ground, part, after)


def _test(ground: Ground, kind: Kind, image: pulumi.Input[str], files: Carrier) -> pulumi.Output[docker.Container]:
    """Runs the program's test once, whenever the files were replaced."""
    spec = ground.spec
    config = f"{watched.FOLDER}/{TEMPLATES[kind]}"
    command = {
        "nginx": ["nginx", "-t", "-e", "stderr", "-p", _SCRATCH, "-c", config],
        "haproxy": ["haproxy", "-c", "-f", config],
    }[kind]
    size = spec.size(_ROLE)
    memory = docker_memory(size.memory)
    made = docker.Container(
        names.BALANCER_TEST,
        name=names.container(spec, names.BALANCER_TEST),
        image=image,
        entrypoints=command,
        must_run=False,
        attach=True,
        logs=True,
        restart="no",
        network_mode="none",
        # nginx binds in its test, to an address that only the balancer has.
        sysctls={"net.ipv4.ip_nonlocal_bind": "1"},
        user=_USERS[kind],
        group_adds=["0"],
        read_only=True,
        tmpfs={_SCRATCH: tmpfs(_USERS[kind])},
        mounts=[files.mount()],
        capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
        security_opts=["no-new-privileges:true"],
        memory=memory,
        memory_swap=memory,
        cpu_period=DOCKER_CPU_PERIOD,
        cpu_quota=docker_cpu_quota(size.cpu),
        ulimits=ulimits(spec),
        labels=labels(names.labels(spec, _ROLE)),
        opts=ground.options(
            depends_on=[files.container], replace_with=[files.container], replace_on_changes=list(NOT_IN_PLACE)
        ),
    )
    # What comes after it waits for its success, not for its end.
    return pulumi.Output.all(made.exit_code, made.container_logs).apply(lambda ended: _passed(kind, made, *ended))


def _passed(kind: Kind, made: docker.Container, code: int | None, logs: str | None) -> docker.Container:
    if code:
        said = " | ".join(line.strip() for line in (logs or "").splitlines()[-_LOG_LINES:] if line.strip())
        raise pulumi.RunError(
            f"{kind} refuses its new configuration: its test ended with status {code}. A balancer that runs goes on with "
            f"what it has. The test's last words: {said or 'none'}"
        )
    return made
