"""`python -m stacks.images STACKFILE`: build the image of a stack file with the docker command, and print its name.

What `up` does by Pulumi; for where Pulumi is not, and for a look at an image.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from stacks.document import read_stack
from stacks.images import context
from stacks.images.recipe import Recipe, recipe
from stacks.refusals import SpecError


def command(how: Recipe, folder: Path) -> list[str]:
    arguments = [word for name, value in how.arguments.items() for word in ("--build-arg", f"{name}={value}")]
    dockerfile = str(folder / context.DOCKERFILE)
    return ["docker", "build", "--target", how.target, "--tag", how.tag, "--file", dockerfile, *arguments, str(folder)]


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m stacks.images STACKFILE", file=sys.stderr)  # noqa: T201
        return 2
    try:
        spec = read_stack(Path(arguments[0]))
    except SpecError as error:
        print(f"veloz: {error}", file=sys.stderr)  # noqa: T201
        return 1
    if spec.images.veloz:
        print(spec.images.veloz)  # noqa: T201
        return 0
    files = context.read()
    how = recipe(spec, files)
    try:
        done = subprocess.run(command(how, context.ROOT / context.stage(files)), stdout=sys.stderr, check=False)
    except FileNotFoundError:
        print("veloz: There is no docker command. Install Docker Engine.", file=sys.stderr)  # noqa: T201
        return 1
    if done.returncode == 0:
        print(how.tag)  # noqa: T201
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
