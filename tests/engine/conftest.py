import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> Path:
    """The engine under test: `VELOZ_ENGINE`, or the release build."""
    given = os.environ.get("VELOZ_ENGINE")
    return Path(given) if given else Path(request.getfixturevalue("engine_binary"))
