"""Whether a deployment fits on a Docker host."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.commands import docker_neighbours, docker_place
from stacks.commands.docker_facts import IN_USE, Container, Facts, images, published
from stacks.commands.findings import Finding
from stacks.spec import EVERY_ADDRESS, ROLES, Deployment


def findings(spec: Deployment, facts: Facts) -> Iterator[Finding]:
    """What is wanted and what is there, in the order in which it matters."""
    if facts.away:
        yield Finding("Docker", "a daemon that answers", f"{facts.host}: {facts.away}", "refused",
                      "Start it, allow this user to use it, or name another by docker.host. Over TLS it wants "
                      "DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH, or a docker context.")  # fmt: skip
        return
    yield Finding("Docker", "a daemon that answers", f"{facts.version} at {facts.host}")
    yield from docker_place.findings(spec, facts.place)
    yield from _capacity(spec, facts)
    yield _files(spec, facts)
    yield from _images(spec, facts)
    yield from _ports(spec, facts)
    strangers = [one.name for one in facts.containers if _foreign(spec, one)]
    yield Finding("names", f"{spec.name}-… free", ", ".join(strangers) or "free", "refused" if strangers else "ok",
                  "They are not of this deployment: remove them, or give this one another name.")  # fmt: skip
    yield from docker_neighbours.findings(spec, facts.networks, facts.volumes)


def building(spec: Deployment, facts: Facts) -> Iterator[Finding]:
    """For an image that is built here and runs elsewhere."""
    if facts.away:
        yield Finding("Docker, to build", "a daemon that answers", f"{facts.host}: {facts.away}", "refused",
                      "Start it, or name an image that is built already by images.veloz.")  # fmt: skip
        return
    yield Finding("Docker, to build", "a daemon that answers", f"{facts.version} at {facts.host}")
    yield from (one for one in _images(spec, facts) if one.want == spec.images.python)


def _foreign(spec: Deployment, one: Container) -> bool:
    return (one.name == spec.name or one.name.startswith(f"{spec.name}-")) and not one.deployment


def _capacity(spec: Deployment, facts: Facts) -> Iterator[Finding]:
    sizes = [(role, spec.container_size(role)) for role in ROLES for _ in range(spec.replicas(role))]
    total = sum(size.cpu for _, size in sizes)
    yield Finding("CPU", f"{total / 1000:g}", str(facts.cpus), "ok" if total <= facts.cpus * 1000 else "note",
                  "When all are busy at once, they share what there is: less than the description promises each.")  # fmt: skip
    memory = sum(size.memory for _, size in sizes)
    yield Finding("memory", f"{memory} MiB", f"{facts.memory} MiB", "ok" if memory <= facts.memory else "refused",
                  "Choose the profile minimum, or less by sizes.COMPONENT.memory.")  # fmt: skip
    disk = sum(size.disk for _, size in sizes)
    if facts.disk is None:
        yield Finding("disk", f"{disk} MiB", "not to be seen from here", "note", "Look at it on the host.")
    elif any(one.deployment == spec.name for one in facts.containers):
        yield Finding("disk", f"{disk} MiB with its data", f"{facts.disk} MiB besides it")
    else:
        yield Finding("disk", f"{disk} MiB", f"{facts.disk} MiB", "ok" if disk <= facts.disk else "refused",
                      "Make room on the host, or plan with less by sizes.COMPONENT.disk.")  # fmt: skip


def _files(spec: Deployment, facts: Facts) -> Finding:
    want = f"limits.open_files {spec.limits.open_files}"
    if facts.files is None:
        return Finding("open files", want, "not to be seen from here", "note", "Look at LimitNOFILE of its daemon.")
    return Finding("open files", want, f"a daemon that may give a container {facts.files}",
                   "ok" if spec.limits.open_files <= facts.files else "refused",
                   f"A container with more than the daemon may give does not start. Raise LimitNOFILE of docker.service, "
                   f"or set limits.open_files to at most {facts.files}.")  # fmt: skip


def _images(spec: Deployment, facts: Facts) -> Iterator[Finding]:
    for image in images(spec):
        what = "image to build on" if image == spec.images.python and not spec.images.veloz else "image"
        if image in facts.images:
            yield Finding(what, image, "on the host")
        elif image in facts.in_registry:
            yield Finding(what, image, "in its registry")
        else:
            yield Finding(what, image, "neither on the host nor in a registry that it reaches", "refused",
                          "Load it (docker load, docker pull), log in to its registry (docker login), or name another under "
                          "images.")  # fmt: skip


def _ports(spec: Deployment, facts: Facts) -> Iterator[Finding]:
    for address, port in published(spec):
        what, want = f"port {port}", f"free on {address}"
        own = _own(spec, facts, address, port)
        if why := _held(spec, facts, address, port):
            remedy = "End what has it, or choose another by edge.http_port or edge.https_port."
            yield Finding(what, want, why, "refused", remedy)
        elif own and (facts.taken is not None or _covered(own, address)):
            yield Finding(what, want, "held by this deployment")
        elif facts.taken is None:
            yield Finding(
                what, want, "no container has it; more is not to be seen from here", "note", "Look on the host: ss -tln"
            )
        else:
            yield Finding(what, want, "free")


def _own(spec: Deployment, facts: Facts, address: str, port: int) -> set[str]:
    """Addresses that it has the port on now, and that count for the one wanted."""
    places = [place for one in facts.containers if one.deployment == spec.name for place in one.ports]
    return {where for where, number in places if number == port and _overlap(where, address)}


def _held(spec: Deployment, facts: Facts, address: str, port: int) -> str:
    """By whom else, or why it cannot be had; empty: by nobody, as far as that is seen from here."""
    for one in facts.containers:
        places = [where for where, number in one.ports if number == port] if one.deployment != spec.name else []
        if any(_overlap(where, address) for where in places):
            return f"held by container {one.name}"
    taken, own = facts.taken or {}, _own(spec, facts, address, port)
    why = taken.get((address, port), "")
    if not own or why != IN_USE:
        return why
    # In use by this deployment; where it has one of all addresses, others may have more of them.
    if _covered(own, address):
        return ""
    used = sorted(where for where, number in taken if number == port and where not in {*own, *EVERY_ADDRESS})
    return f"in use on {', '.join(used)}" if used else ""


def _covered(own: set[str], address: str) -> bool:
    return bool(own & {address, *EVERY_ADDRESS})


def _overlap(one: str, other: str) -> bool:
    return one == other or one in EVERY_ADDRESS or other in EVERY_ADDRESS
