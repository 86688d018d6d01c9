"""The same gateway for a file's tests as end to end."""

from tests.e2e.conftest import api, gateway

__all__ = ["api", "gateway"]
