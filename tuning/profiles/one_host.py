"""The whole system on one host: what its roles want, and what is decided where they contradict each other."""

from __future__ import annotations

from typing import Final

from tuning import sources
from tuning.profile import Profile, Role, Setting
from tuning.profiles.roles import OVERCOMMIT

# A host that is for all of these has this profile in place of theirs.
WHOLE: Final[tuple[Role, ...]] = ("gateway", "engine", "postgres", "redis")

ONE_HOST: Final = Profile(
    name="one_host",
    includes=WHOLE,
    settings=(
        Setting(
            key=OVERCOMMIT,
            value="1",
            rule="exactly",
            reason="Redis' fork fails under 2 when memory is half used, and 2 is for a host of PostgreSQL's own; "
            "there PostgreSQL's processes are guarded by their oom_score_adj instead.",
            source=f"{sources.REDIS}; {sources.POSTGRES_MEMORY}",
        ),
    ),
)
