"""`python -m stacks COMMAND --stack NAME`: deployments, from the first secret to the last volume."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from stacks.commands import project as projects
from stacks.commands.failures import Failure
from stacks.commands.output import Output
from stacks.commands.running import run

cli = typer.Typer(
    help="Deployments of VeloZ.", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False
)

StackName = Annotated[str, typer.Option("--stack", "-s", envvar="STACK", help="the stack, e.g. compose")]
Machine = Annotated[bool, typer.Option("--json", help="one JSON document on standard output, words on standard error")]
Root = Annotated[Path, typer.Option("--project", help="the folder with Pulumi.yaml", file_okay=False)]
Seconds = Annotated[float, typer.Option("--ready-within", min=1, max=3600, help="seconds until it must serve")]
Interrupt = Annotated[
    bool, typer.Option("--interrupt", help="every gateway may be gone at once: nobody trades meanwhile")
]
SecretsChanged = Annotated[
    bool, typer.Option("--secrets-changed", help="a changed password of the database was given to it, or none runs")
]
TargetChanged = Annotated[
    bool, typer.Option("--target-changed", help="it may go to another Docker host or cluster than the last release")
]
StoresChanged = Annotated[
    bool,
    typer.Option("--stores-changed", help="the data of PostgreSQL and Redis are fit for the images that are named"),
]
_READY: Final = 300.0


def _open(name: str, root: Path, output: Output) -> Any:  # noqa: ANN401 - a Stack, whose module is slow to load
    from stacks.commands.stack import Stack  # noqa: PLC0415

    return Stack.open(projects.check_name(name), projects.read(root), output)


@cli.command()
def init(
    *,
    stack: StackName = "",
    topology: Annotated[str, typer.Option(envvar="TOPOLOGY", help="single, compose or kubernetes")] = "",
    hostname: Annotated[str, typer.Option(help="what clients call it; the certificate is for it")] = "",
    renew: Annotated[bool, typer.Option("--renew", help="make the generated certificate anew")] = False,
    root: Root = projects.ROOT,
    machine: Machine = False,
) -> None:
    """Make a stack's file and its secrets; again: only what is missing."""
    from stacks.commands.initialising import advice, initialise  # noqa: PLC0415

    def work(output: Output) -> dict[str, Any]:
        opened = _open(stack, root, output)
        done = initialise(opened, topology=topology, hostname=hostname, renew=renew)
        output.say(f"{len(done.made)} secrets made: {', '.join(done.made)}." if done.made else "Nothing was missing.")
        for line in advice(opened, done.missing):
            output.say(f"To be given by you: {line}", "yellow")
        return done._asdict()

    run(machine, work)


@cli.command()
def preview(*, stack: StackName = "", root: Root = projects.ROOT, machine: Machine = False) -> None:
    """Show what `up` would change, what the policy says of it, and what `up` would refuse."""
    from stacks.commands import holding, releases, strangers, targets  # noqa: PLC0415

    def work(output: Output) -> dict[str, Any]:
        opened = _open(stack, root, output)
        spec = opened.project.deployment(stack)
        opened.aim(spec)
        targets.guard(opened, spec, "up")
        broken = dict(holding.broken(spec, holding.gateways(spec, opened.pulumi.environ)))
        previewed = opened.preview(spec, opened.pulumi.configuration(stack), broken=broken)
        opened.show(previewed)
        targets.check_name(stack, releases.read(opened.project.releases(stack)), spec)
        strangers.check(spec, opened.pulumi.environ, opened.containers(), stack)
        return dict(previewed.document())

    run(machine, work)


@cli.command()
def preflight(*, stack: StackName = "", root: Root = projects.ROOT, machine: Machine = False) -> None:
    """Ask whether the target is there and has room; change nothing."""

    def work(output: Output) -> dict[str, Any]:
        opened = _open(stack, root, output)
        spec = opened.project.deployment(stack)
        opened.aim(spec)
        return {"findings": [one.document() for one in opened.check(spec, opened.pulumi.configuration(stack))]}

    run(machine, work)


@cli.command()
def up(  # noqa: PLR0913 - a command has as many options as it needs
    *,
    stack: StackName = "",
    seconds: Seconds = _READY,
    secrets_changed: SecretsChanged = False,
    interrupt: Interrupt = False,
    target_changed: TargetChanged = False,
    stores_changed: StoresChanged = False,
    root: Root = projects.ROOT,
    machine: Machine = False,
) -> None:
    """Deploy what the stack file says, wait until it serves, prove it, record the release."""
    from stacks.commands import deploying  # noqa: PLC0415

    def work(output: Output) -> dict[str, Any]:
        opened = _open(stack, root, output)
        accepted = deploying.Accepted(secrets_changed, interrupt, target_changed, stores_changed)
        done = deploying.up(opened, seconds=seconds, accepted=accepted)
        return {"release": done.release, "changed": done.changed, "steps": [one._asdict() for one in done.steps]}

    run(machine, work)


@cli.command()
def rollback(  # noqa: PLR0913 - see up
    *,
    stack: StackName = "",
    seconds: Seconds = _READY,
    secrets_changed: SecretsChanged = False,
    interrupt: Interrupt = False,
    target_changed: TargetChanged = False,
    stores_changed: StoresChanged = False,
    schema: Annotated[
        int | None,
        typer.Option("--schema", min=1, help="how many migrations the database has, where nobody else can say"),
    ] = None,
    root: Root = projects.ROOT,
    machine: Machine = False,
) -> None:
    """Return to the last good release before this one."""
    from stacks.commands import deploying  # noqa: PLC0415

    def work(output: Output) -> dict[str, Any]:
        accepted = deploying.Accepted(secrets_changed, interrupt, target_changed, stores_changed)
        opened = _open(stack, root, output)
        done = deploying.rollback(opened, seconds=seconds, schema=schema, accepted=accepted)
        return {"release": done.release, "changed": done.changed, "steps": [one._asdict() for one in done.steps]}

    run(machine, work)


@cli.command()
def smoke(
    *, stack: StackName = "", seconds: Seconds = _READY, root: Root = projects.ROOT, machine: Machine = False
) -> None:
    """Ask the deployment whether it serves: ready, an order, its event, its cancellation."""

    def work(output: Output) -> dict[str, Any]:
        opened = _open(stack, root, output)
        spec = opened.project.deployment(stack)
        configuration = opened.pulumi.configuration(stack)
        opened.wait(edge := opened.edge(configuration), seconds)
        return {"steps": [one._asdict() for one in opened.smoke(spec, configuration, edge)]}

    run(machine, work)


@cli.command()
def releases(*, stack: StackName = "", root: Root = projects.ROOT, machine: Machine = False) -> None:
    """List what was deployed, when, and what became of it."""
    from stacks.commands import releases as records  # noqa: PLC0415

    def work(output: Output) -> dict[str, Any]:
        known = records.read(projects.read(root).releases(projects.check_name(stack)))
        rows = [
            (str(r.id), r.time, r.outcome, f"returns to {r.of}" if r.of else "", r.image, str(r.knows or "?"))
            for r in known
        ]
        output.table(("release", "time", "outcome", "", "image", "schema"), rows)
        return {"releases": known}

    run(machine, work)


@cli.command()
def destroy(
    *,
    stack: StackName = "",
    confirm: Annotated[str, typer.Option(envvar="CONFIRM", help="the stack's name: its data goes too")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="do not ask on a terminal")] = False,
    target_changed: TargetChanged = False,
    root: Root = projects.ROOT,
    machine: Machine = False,
) -> None:
    """Take the deployment away; its data stays unless CONFIRM is the stack's name."""
    from stacks.commands import destroying, targets  # noqa: PLC0415

    def work(output: Output) -> dict[str, Any]:
        opened = _open(stack, root, output)
        opened.aim(spec := opened.project.deployment(stack))
        if not target_changed:
            targets.guard(opened, spec, "destroy")
        going = destroying.look(opened, confirm)
        output.table(("change", "kind", "name", "what"), [one.row for one in going.changes])
        if going.data:
            output.say(f"With all of their data: {', '.join(going.data)}.", "red")
        if going.kept:
            output.say(
                f"Kept, for they hold data: {', '.join(going.kept)}. To delete them too: CONFIRM={stack}", "yellow"
            )
        if (
            going.changes
            and not (confirm or yes or machine)
            and sys.stdin.isatty()
            and not typer.confirm("Take all that away?")
        ):
            raise Failure("Nothing was changed.")
        gone = destroying.destroy(opened, going, confirm) if going.changes or going.data else 0
        output.say(f"{gone} resources are gone." if gone else "There was nothing to take away.")
        return {**going.document(), "gone": gone}

    run(machine, work)


@cli.command()
def render(
    *,
    stack: StackName = "",
    secrets: Annotated[bool, typer.Option("--secrets", help="with the Secrets, in the clear")] = False,
    root: Root = projects.ROOT,
) -> None:
    """Print a Kubernetes stack's objects as YAML; for kubectl apply --server-side -f -."""
    from stacks.commands.rendering import rendered  # noqa: PLC0415
    from stacks.render import NOTE  # noqa: PLC0415

    def work(output: Output) -> dict[str, Any]:
        name = projects.check_name(stack)
        text = rendered(projects.read(root), name, _open(name, root, output) if secrets else None)
        sys.stdout.write(text)
        if not secrets:
            sys.stderr.write(f"veloz: {NOTE} With them: --secrets.\n")
        return {}

    run(machine=False, work=work)


@cli.command()
def pulumi(
    *,
    arguments: Annotated[list[str], typer.Argument(help="what pulumi is told, after --")],
    stack: StackName = "",
    root: Root = projects.ROOT,
) -> None:
    """Run pulumi itself, with this project's backend and passphrase: pulumi --stack compose -- config set --secret …"""

    def work(output: Output) -> dict[str, Any]:
        opened = _open(stack or "none", root, output)
        opened.pulumi.attached([*arguments, *(["--stack", stack] if stack else [])])
        return {}

    run(machine=False, work=work)


if __name__ == "__main__":
    cli(prog_name="python -m stacks")
