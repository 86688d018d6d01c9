"""Whether a unit runs since before a file was written: a shell's test."""

from __future__ import annotations

import shlex


def newer(path: str, unit: str) -> str:
    """Both in microseconds: a run may be cut off in the second in which it began.

    In UTC, for `date` takes some zones' short names for others', and without a locale, for some write a comma.
    """
    asked, written = shlex.quote(unit), shlex.quote(path)
    started = f"LC_ALL=C systemctl show --timestamp=us+utc -p ActiveEnterTimestamp --value {asked}"
    return f'[ "$(LC_ALL=C stat -c %.6Y {written} | tr -d .)" -gt "$(LC_ALL=C date -d "$({started})" +%s%6N)" ]'
