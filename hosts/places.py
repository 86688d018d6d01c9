"""Where things are on a bare host, and whose: each path once."""

from __future__ import annotations

from typing import Final

USER: Final = "veloz"
# The balancer meets the internet; it is somebody else, who cannot read the gateways' secrets.
BALANCER_USER: Final = "veloz-balancer"

# What is remembered of a host; and what nobody needs after a boot.
STATE_DIR: Final = "/var/lib/veloz/host"
RUN_DIR: Final = "/run/veloz-host"

CONFIG: Final = "/etc/veloz"
# Whose host it is: the name in the description.
DEPLOYMENT: Final = f"{CONFIG}/deployment"
API_KEY: Final = f"{CONFIG}/api_key"
CLUSTER_SECRET: Final = f"{CONFIG}/cluster_secret"
BALANCER: Final = f"{CONFIG}/balancer"
CERTIFICATE: Final = f"{BALANCER}/tls.crt"
CERTIFICATE_KEY: Final = f"{BALANCER}/tls.key"
AUTHORITY: Final = f"{BALANCER}/ca.crt"
BALANCER_RUN: Final = "/run/veloz-balancer"
# The digest of the files that the running balancer has read.
LOADED: Final = f"{BALANCER_RUN}/loaded"

PROGRAM: Final = "/opt/veloz"
RELEASES: Final = f"{PROGRAM}/releases"
CURRENT: Final = f"{PROGRAM}/current"
UPLOADS: Final = f"{PROGRAM}/uploads"
PYTHON: Final = f"{CURRENT}/venv/bin/python"
UNITS: Final = "/etc/systemd/system"

POSTGRES_SOCKETS: Final = "/run/postgresql"
REDIS_SOCKET: Final = "/run/redis/redis-server.sock"
REDIS_GROUP: Final = "redis"
REDIS_MAIN: Final = "/etc/redis/redis.conf"
REDIS_OURS: Final = "/etc/redis/veloz.conf"


# Of which each gateway's is made.
GATEWAY_UNITS: Final = "veloz-gateway@.service"


def gateway_unit(replica: int) -> str:
    """Replicas are counted from 1."""
    return f"veloz-gateway@{replica}.service"


def gateway_environment(replica: int) -> str:
    return f"{CONFIG}/gateway-{replica}.env"


BALANCER_UNIT: Final = "veloz-balancer.service"
TARGET: Final = "veloz.target"
