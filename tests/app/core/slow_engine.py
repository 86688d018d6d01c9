"""An engine program whose orders are cancelled slowly, as on a machine that has little of a core."""

from __future__ import annotations

import sys
from pathlib import Path

# A batch of lines is passed on by the piece; a line that cancels costs so many seconds.
_PROGRAM = """#!{python} -uS
import subprocess, sys, time
engine = subprocess.Popen([{engine!r}], stdout=subprocess.PIPE)
owed = 0.0
for line in engine.stdout:
    if b'"CANCELLED"' in line:
        owed += {seconds}
    if owed > 0.02:
        sys.stdout.buffer.flush()
        time.sleep(owed)
        owed = 0.0
    sys.stdout.buffer.write(line)
    if line.startswith(b'{{"type":"done"') or line.startswith(b'{{"type":"ready"'):
        sys.stdout.buffer.flush()
"""


def make_slow_engine(engine: Path, path: Path, seconds: float) -> Path:
    """A program at `path` that is `engine` but for the seconds that each order's cancellation takes."""
    path.write_text(
        _PROGRAM.format(python=sys.executable, engine=str(engine), seconds=seconds / 2)
    )  # two lines an order
    path.chmod(0o755)
    return path
