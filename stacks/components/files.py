"""Files for containers whose own root cannot be written.

Docker takes nothing into a container with a read-only root, not even into a volume of it. So the files of a part come
with a container of their own that is never started: it has the part's files volume, and they are uploaded there. The part
mounts that volume read-only, and a change of files replaces the carrier and, through `replace_with`, the part. Where a file
comes or goes, the volume is another one: a secret that is taken out does not stay in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import pulumi
import pulumi_docker as docker

from stacks import names
from stacks.components.network import Ground, labels
from stacks.files import File
from stacks.spec import Role

FILES_LABEL = "io.veloz.files"


@dataclass(frozen=True, kw_only=True)
class Carrier:
    container: docker.Container
    volume: docker.Volume
    folder: str

    def mount(self) -> docker.ContainerMountArgs:
        return docker.ContainerMountArgs(type="volume", source=self.volume.name, target=self.folder, read_only=True)


def carrier(
    ground: Ground,
    part: str,
    role: Role,
    image: pulumi.Input[str],
    files: Sequence[File],
    after: Sequence[pulumi.Input[pulumi.Resource]] = (),
) -> Carrier:
    """`image`: the part's, which is there anyway; nothing of it runs. `after`: what is replaced before the part is."""
    folder = common_folder(files)
    whose = names.labels(ground.spec, role)
    held = volume(ground, names.files_volume(part, [file.path for file in files]), role)
    container = docker.Container(
        f"{part}{names.FILES}",
        name=names.container(ground.spec, f"{part}{names.FILES}"),
        image=image,
        start=False,
        must_run=False,
        restart="no",
        network_mode="none",
        capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
        security_opts=["no-new-privileges:true"],
        labels=labels({**whose, FILES_LABEL: "true"}),
        mounts=[docker.ContainerMountArgs(type="volume", source=held.name, target=folder)],
        uploads=[
            docker.ContainerUploadArgs(file=file.path, content=file.content, permissions=file.mode) for file in files
        ],
        opts=ground.options(depends_on=list(after)),
    )
    return Carrier(container=container, volume=held, folder=folder)


def volume(ground: Ground, what: str, role: Role, *, data: bool = False) -> docker.Volume:
    """`data`: Pulumi never deletes it. Docker takes it up again by its name, with what is in it."""
    return docker.Volume(
        f"volume-{what}",
        name=names.volume(ground.spec, what),
        labels=volume_labels(names.labels(ground.spec, role)),
        opts=ground.options(retain_on_delete=True) if data else ground.options(),
    )


def volume_labels(told: Mapping[str, str]) -> list[docker.VolumeLabelArgs]:
    return [docker.VolumeLabelArgs(label=label, value=value) for label, value in sorted(told.items())]


def common_folder(files: Sequence[File]) -> str:
    """Where all of them are: a part has one volume for its files."""
    parents = [PurePosixPath(file.path).parent for file in files]
    folder = next(up for up in (parents[0], *parents[0].parents) if all(p.is_relative_to(up) for p in parents))
    if len(folder.parts) < 3:  # noqa: PLR2004 - "/", "run", "veloz": not over a folder of the system
        raise ValueError(f"the files {', '.join(file.path for file in files)} have no folder of their own")
    return str(folder)
