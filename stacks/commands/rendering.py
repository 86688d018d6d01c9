"""The objects of a Kubernetes stack as YAML, for review and for GitOps: needs neither pulumi nor a cluster."""

from __future__ import annotations

from stacks import render
from stacks.commands.failures import Failure
from stacks.commands.project import Project
from stacks.commands.stack import Stack
from stacks.images import context
from stacks.images.recipe import recipe
from stacks.secrets import Secrets, problems, useful
from stacks.spec import Deployment


def rendered(project: Project, name: str, stack: Stack | None) -> str:
    """`stack` given: with its secrets in the clear; else without the Secrets, and nothing is decrypted. Raises Failure."""
    spec = project.deployment(name)
    if spec.topology != "kubernetes":
        raise Failure(
            f"Stack {name} has topology {spec.topology}: only kubernetes is rendered. See what it is: make preview."
        )
    if stack is None:
        return render.render(spec, None, _image(spec), project.secret_names(name))
    given = stack.pulumi.configuration(name).secrets
    if wrong := problems(given, spec):
        raise Failure("\n".join(map(str, wrong)))
    return render.render(spec, Secrets(**useful(given, spec)), _image(spec))


def _image(spec: Deployment) -> str:
    """The one that the description names, else what `up` would build from this tree."""
    return spec.images.veloz or recipe(spec, context.read()).tag
