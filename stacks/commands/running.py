"""How a command ends: its document, a sentence, an exit status."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

import typer

from stacks.commands.failures import Failure, Interrupted
from stacks.commands.output import Output

_INTERRUPTED: Final = 130


def run(machine: bool, work: Callable[[Output], dict[str, Any]]) -> None:  # noqa: FBT001 - the option's value
    """0 when the command did what it is for, 1 with a sentence, or with `ok` false in its document, 130 when it was stopped."""
    output = Output(machine=machine)
    try:
        document = {"ok": True, **work(output)}
    except Failure as error:
        raise _failed(output, error) from None
    except BrokenPipeError:
        raise  # nobody reads on
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise _failed(output, Failure(f"{where}{error.strerror or error}. Mend that and repeat the command.")) from None
    except (Interrupted, KeyboardInterrupt) as error:
        said = str(error) or "Stopped."
        output.result({"ok": False, "error": said})
        sys.stderr.write(f"veloz: {said}\n")
        raise typer.Exit(_INTERRUPTED) from None
    output.result(document)
    if not document["ok"]:
        raise typer.Exit(1)


def _failed(output: Output, error: Failure) -> typer.Exit:
    output.result({"ok": False, "error": str(error), **error.facts})
    sys.stderr.write(f"veloz: {error}\n")
    return typer.Exit(1)
