"""What a command says: a person's words on a terminal or in a pipe, or one JSON document for a machine."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

# In a pipe nobody's terminal is the measure: lines stay whole.
_PIPE_WIDTH: Final = 100_000
_STYLES: Final = {"ok": "green", "note": "yellow", "refused": "red"}


class Output:
    """Words go to standard output; with `machine` to standard error, and the result alone to standard output."""

    def __init__(self, *, machine: bool = False) -> None:
        self.machine = machine
        stream = sys.stderr if machine else sys.stdout
        width = None if stream.isatty() else _PIPE_WIDTH
        self.console = Console(file=stream, highlight=False, markup=False, emoji=False, width=width, soft_wrap=True)

    def say(self, text: str, style: str = "") -> None:
        self.console.print(Text(text, style=style), soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """In a pipe plain columns, nothing shortened."""
        if not self.console.is_terminal:
            widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
            for row in (columns, *rows):
                self.say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
            return
        table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
        self.console.print(table)

    @contextmanager
    def step(self, what: str) -> Iterator[Callable[[str], None]]:
        """What may take longer: a spinner on a terminal, and a line with its seconds. Yields a way to say how far it is."""
        started = time.monotonic()
        done = ""
        if not self.console.is_terminal:
            self.say(f"{what} …")
        with self.console.status(Text(what)) as status:

            def progress(text: str) -> None:
                nonlocal done
                done = text
                status.update(Text(f"{what}: {text}"))

            yield progress
        self.say(f"{what}: {done + ', ' if done else ''}{time.monotonic() - started:.1f} s")

    def result(self, document: dict[str, Any]) -> None:
        """For machines; nothing for a person."""
        if self.machine:
            sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")
