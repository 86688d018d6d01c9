"""Prometheus: what it scrapes, how long it keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import yaml

from stacks import names, ports
from stacks.environment import SECRETS_DIR
from stacks.files import File
from stacks.spec import Deployment

VOLUME: Final = "/prometheus"
CONFIG: Final = f"{SECRETS_DIR}/prometheus.yml"
SCRAPE_SECONDS: Final = 15
# Of new pods behind a DNS name.
_DISCOVERY_SECONDS: Final = 5


def arguments(spec: Deployment) -> tuple[str, ...]:
    """After the image's own entry point. The share of the disk leaves room for the write-ahead log and compaction."""
    return (
        f"--config.file={CONFIG}",
        f"--storage.tsdb.path={VOLUME}",
        f"--storage.tsdb.retention.time={spec.monitoring.keep_days}d",
        f"--storage.tsdb.retention.size={spec.size('prometheus').disk * 8 // 10}MB",
        f"--web.listen-address={names.listen(spec, 'prometheus')}:{ports.PROMETHEUS}",
    )


def files(spec: Deployment, gateways: Sequence[str] | str) -> tuple[File, ...]:
    return (File(CONFIG, scrape_config(spec, gateways)),)


def scrape_config(spec: Deployment, gateways: Sequence[str] | str) -> str:
    """`gateways`: their addresses, or the one DNS name that has all of them."""
    if isinstance(gateways, str):
        discovered = {
            "names": [gateways],
            "type": "A",
            "port": ports.GATEWAY,
            "refresh_interval": f"{_DISCOVERY_SECONDS}s",
        }
        those: dict[str, Any] = {"dns_sd_configs": [discovered]}
        own = f"127.0.0.1:{ports.PROMETHEUS}"
    else:
        those = {"static_configs": [_target(f"{address}:{ports.GATEWAY}", n) for n, address in enumerate(gateways, 1)]}
        own = f"{names.listen(spec, 'prometheus')}:{ports.PROMETHEUS}"
    config = {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "external_labels": {"deployment": spec.name}},
        "scrape_configs": [
            {"job_name": "gateway", "metrics_path": "/metrics", **those},
            {"job_name": "prometheus", "static_configs": [{"targets": [own]}]},
        ],
    }
    return yaml.safe_dump(config, sort_keys=False)


def _target(address: str, replica: int) -> dict[str, Any]:
    return {"targets": [address], "labels": {"gateway": names.gateway_id(replica)}}
