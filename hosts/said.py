"""Why pyinfra failed: it logs the reason, or keeps it with the operation, and raises something else."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Final

from pyinfra.api import State
from pyinfra.api.host import Host

_LINES: Final = 3  # of a command's output: its last words
_NOTHING: Final = re.compile(r"Error: executed \d+ commands")  # what pyinfra says after it has said why


class Said(logging.Handler):
    """The last warning of pyinfra's while it listens; its logging and progress do not reach the terminal."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage().strip()
        if text and not _NOTHING.search(text):
            self.last = text

    @contextmanager
    def listening(self) -> Iterator[None]:
        logger = logging.getLogger("pyinfra")
        logger.addHandler(self)
        quiet, logger.propagate = logger.propagate, False
        try:
            with redirect_stderr(io.StringIO()):  # progress spinners
                yield
        finally:
            logger.removeHandler(self)
            logger.propagate = quiet


def of_operation(state: State, host: Host, last: str = "") -> str:
    """Name of the first operation that failed and the end of what its command said; empty when none did.

    `last`: what pyinfra said, for an upload or a connection that broke says nothing itself.
    """
    for key in state.get_op_order():
        meta = state.get_op_data_for_host(host, key).operation_meta
        if meta.is_complete() and not meta.did_succeed():
            lines = [line.strip() for line in meta.stderr_lines or meta.stdout_lines if line.strip()]
            name = next(iter(state.op_meta[key].names), "an operation")
            return f"{name}: {' / '.join(lines[-_LINES:]) or last or 'failed without a word'}"
    return ""
