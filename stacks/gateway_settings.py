"""The settings of a deployment's gateways, read from their environment as a gateway reads it."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from app.settings import Settings, load
from stacks.environment import POD_IP, POD_NAME, SECRETS_DIR, variables
from stacks.spec import Deployment, Docker, Kubernetes

# In place of the secrets: well formed, and nobody's.
_KEY: Final = sha256(b"no secret").hexdigest()
_STAND_INS: Final = {
    "VELOZ_POSTGRES_DSN": "postgresql://veloz@localhost/veloz",
    "VELOZ_REDIS_URL": "redis://localhost",
    "VELOZ_API_KEY": _KEY,
}


def gateway_settings(spec: Deployment) -> Settings:
    """With stand-ins for secrets. Raises app.settings.SettingsError with what a gateway would refuse."""
    # What is wrong with networks is refused elsewhere, and must not hide what is wrong here.
    spec = msgspec.structs.replace(spec, docker=Docker(), kubernetes=Kubernetes())
    environ = {name: value for name, value in variables(spec).items() if not value.startswith(SECRETS_DIR)} | _STAND_INS
    if "VELOZ_ADVERTISE_URL" in environ:
        environ["VELOZ_CLUSTER_SECRET"] = _KEY
    if "VELOZ_REPLAY_FILE" in environ:
        environ["VELOZ_REPLAY_FILE"] = __file__  # it is in the image, not here
    for name, value in environ.items():
        environ[name] = value.replace(f"$({POD_IP})", "10.0.0.1").replace(f"$({POD_NAME})", "veloz-gateway-0")
    return load(environ, api_key_file=Path("/nonexistent"))
