"""`python -m hosts COMMAND --host [user@]address`: bare machines, from the first look to undoing everything."""

from __future__ import annotations

from typing import Annotated

import typer

from stacks.commands.running import run

cli = typer.Typer(help="Bare hosts.", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)

HostName = Annotated[
    str, typer.Option("--host", "-H", envvar="HOST", help="[user@]address[:port]; else all of the stack's")
]
Key = Annotated[
    str,
    typer.Option("--key", envvar="SSH_KEY", help="file of the private key; for hosts of the stack that name none too"),
]
Roles = Annotated[
    str,
    typer.Option(
        "--roles", envvar="ROLES", help="what the host that is named is for, e.g. gateway,engine; else everything"
    ),
]
StackName = Annotated[str, typer.Option("--stack", "-s", envvar="STACK", help="the stack file with the description")]
Dry = Annotated[bool, typer.Option("--dry-run", envvar="DRY", help="show what would change, change nothing")]
Machine = Annotated[bool, typer.Option("--json", help="one JSON document on standard output, words on standard error")]
Part = Annotated[str, typer.Option("--only", help="tuning, firewall or units; else all")]


@cli.command()
def tune(
    *,
    host: HostName = "",
    key: Key = "",
    roles: Roles = "",
    stack: StackName = "",
    dry: Dry = False,
    machine: Machine = False,
) -> None:
    """Set the kernel and the network up for its roles, keep a snapshot, measure before and after."""
    from hosts import inventory, tuning_commands  # noqa: PLC0415

    run(machine, lambda output: tuning_commands.tune(inventory.members(host, key, roles, stack), output, dry=dry))


@cli.command()
def verify(
    *,
    host: HostName = "",
    key: Key = "",
    roles: Roles = "",
    stack: StackName = "",
    only: Part = "",
    machine: Machine = False,
) -> None:
    """Read every value back with other tools: want, have, verdict."""
    from hosts import inventory, verifying  # noqa: PLC0415

    said = {"roles": bool(roles), "stack": bool(stack) or not host}
    run(machine, lambda output: verifying.verify(inventory.members(host, key, roles, stack), output, only, **said))


@cli.command()
def untune(
    *, host: HostName = "", key: Key = "", stack: StackName = "", dry: Dry = False, machine: Machine = False
) -> None:
    """Put back what was there before the first `tune`."""
    from hosts import inventory, tuning_commands  # noqa: PLC0415

    run(machine, lambda output: tuning_commands.untune(inventory.members(host, key, "", stack), output, dry=dry))


@cli.command()
def firewall(
    *,
    host: HostName = "",
    key: Key = "",
    roles: Roles = "",
    stack: StackName = "",
    off: Annotated[bool, typer.Option("--off", help="back to what was there before the first run")] = False,
    dry: Dry = False,
    machine: Machine = False,
) -> None:
    """Close everything but what the description opens; a wrong rule undoes itself."""
    from hosts import firewalling, inventory  # noqa: PLC0415

    run(
        machine,
        lambda out: firewalling.firewall(
            inventory.members(host, key, roles, stack, clients=True), out, dry=dry, off=off
        ),
    )


@cli.command()
def provision(
    *,
    host: HostName = "",
    key: Key = "",
    roles: Roles = "",
    stack: StackName = "",
    dry: Dry = False,
    machine: Machine = False,
) -> None:
    """A bare host until it serves: look, packages, tuning, firewall, user and files, then the system itself."""
    from hosts import inventory, provisioning  # noqa: PLC0415

    run(
        machine,
        lambda output: provisioning.provision(
            inventory.members(host, key, roles, stack, clients=True), output, dry=dry
        ),
    )


if __name__ == "__main__":
    cli(prog_name="python -m hosts")
