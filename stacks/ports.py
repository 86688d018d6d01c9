"""Every port there is, once."""

from __future__ import annotations

from typing import Final

from app.settings import DEFAULT_PORT

GATEWAY: Final = DEFAULT_PORT
HTTP: Final = 80
HTTPS: Final = 443
# Inside its container the balancer is no root and listens above 1024.
BALANCER_HTTP: Final = 8080
BALANCER_HTTPS: Final = 8443
# For probes; no client reaches it.
BALANCER_HEALTH: Final = 8081
POSTGRES: Final = 5432
REDIS: Final = 6379
PROMETHEUS: Final = 9090
GRAFANA: Final = 3000
DNS: Final = 53
