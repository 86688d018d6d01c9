"""`python -m app gateway` runs one gateway; `python -m app local` the whole system on this machine."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer
from rich.console import Console

from app.settings import DEFAULT_PORT, SettingsError, load

Balancer: TypeAlias = Literal["nginx", "haproxy"]
Logs: TypeAlias = Literal["files", "output"]

cli = typer.Typer(help="VeloZ", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)


def refuse(error: Exception) -> typer.Exit:
    """One plain paragraph on standard error and exit status 1."""
    sys.stderr.write(f"veloz: {error}\n")
    return typer.Exit(1)


@cli.command()
def gateway() -> None:
    """Run one gateway, configured by VELOZ_* variables."""
    from app.application import run  # noqa: PLC0415 (each command loads what it needs)

    try:
        settings = load(os.environ)
    except SettingsError as error:
        raise refuse(error) from None
    run(settings)


@cli.command()
def local(  # noqa: PLR0913, PLR0917 (a command's options are its parameters)
    market: Annotated[str, typer.Option(help="sim, or replay:FILE[,FILE] of trades and quotes")] = "sim",
    data_dir: Annotated[Path, typer.Option(help="where everything is kept")] = Path(".veloz"),
    port: Annotated[int, typer.Option(min=1, max=65535, help="to listen on")] = DEFAULT_PORT,
    host: Annotated[str, typer.Option(help="the address to listen on; 0.0.0.0: all of this machine's")] = "127.0.0.1",
    speed: Annotated[float, typer.Option(min=0, help="of a replay: 1 is real time, 0 as fast as possible")] = 1,
    gateways: Annotated[int, typer.Option(min=1, max=8, help="above 1: behind a balancer")] = 1,
    balancer: Annotated[Balancer | None, typer.Option(help="default: nginx when it is there, else HAProxy")] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option(envvar="VELOZ_API_KEY_FILE", help="of the first admin key; default: made in the data directory"),
    ] = None,
    logs: Annotated[
        Logs, typer.Option(help="of the servers: files in the data directory, or all to the output")
    ] = "files",
) -> None:
    """Run the whole system on this machine: engine, PostgreSQL, Valkey, gateways.

    VELOZ_ENGINE names an engine to take instead of building one.
    """
    from app.build import BuildError  # noqa: PLC0415
    from app.child import ChildError  # noqa: PLC0415
    from app.embedded import EmbeddedError  # noqa: PLC0415
    from app.local import run_local  # noqa: PLC0415
    from app.local_options import LocalError, Options  # noqa: PLC0415

    options = Options(
        market, data_dir.absolute(), port, speed, gateways, balancer, host, api_key_file, log_files=logs == "files"
    )
    try:
        run_local(options, Console())
    except (BuildError, ChildError, EmbeddedError, LocalError, OSError) as error:
        raise refuse(error) from None


if __name__ == "__main__":
    cli()
