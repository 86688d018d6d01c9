"""How the suite is told what to look for, and where it leaves what it found: files of one folder."""

from __future__ import annotations

from typing import Final

# Environment variable that names the folder, and its files.
PLACE: Final = "VELOZ_VERIFICATION"
PLAN: Final = "plan.json"
ROWS: Final = "rows.json"
# Verdicts that nobody has to mend.
GOOD: Final = frozenset({"ok", "skipped", "unavailable"})
