"""What tuning refuses."""

from __future__ import annotations


class TuningError(Exception):
    """All that cannot be: each conflict in a line with its values, its reasons and the remedy."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
