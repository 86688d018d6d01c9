"""Grafana: its variables, its data source, its administrator's password."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import yaml

from stacks import names, ports
from stacks.environment import SECRETS_DIR
from stacks.files import File
from stacks.spec import Deployment

if TYPE_CHECKING:
    import pulumi

VOLUME: Final = "/var/lib/grafana"
PASSWORD: Final = f"{SECRETS_DIR}/grafana_password"
PROVISIONING: Final = f"{SECRETS_DIR}/provisioning"
DATASOURCE: Final = "veloz-prometheus"


def environment(spec: Deployment) -> dict[str, str]:
    """Nobody signs up, nobody is let in without a password, and nothing is asked of the internet."""
    return {
        "GF_SERVER_HTTP_ADDR": names.listen(spec, "grafana"),
        "GF_SERVER_HTTP_PORT": str(ports.GRAFANA),
        "GF_PATHS_DATA": VOLUME,
        "GF_PATHS_PROVISIONING": PROVISIONING,
        "GF_LOG_MODE": "console",
        # Grafana reads the file itself. What …__FILE names, the image's run.sh exports to it.
        "GF_SECURITY_ADMIN_PASSWORD": f"$__file{{{PASSWORD}}}",
        "GF_SECURITY_DISABLE_GRAVATAR": "true",
        "GF_USERS_ALLOW_SIGN_UP": "false",
        "GF_AUTH_ANONYMOUS_ENABLED": "false",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        "GF_PLUGINS_PREINSTALL_DISABLED": "true",
    }


def files(spec: Deployment, password: pulumi.Input[str]) -> tuple[File, ...]:
    return (
        File(PASSWORD, password, secret=True),
        File(f"{PROVISIONING}/datasources/veloz.yaml", datasources(spec)),
    )


def datasources(spec: Deployment) -> str:
    """Its one data source; nobody edits it by hand."""
    source = {
        "name": "Prometheus",
        "uid": DATASOURCE,
        "type": "prometheus",
        "access": "proxy",
        "url": f"http://{names.host(spec, 'prometheus')}:{ports.PROMETHEUS}",
        "isDefault": True,
        "editable": False,
    }
    return yaml.safe_dump({"apiVersion": 1, "datasources": [source]}, sort_keys=False)
