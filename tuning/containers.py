"""What containers and pods are given: settings that a network namespace has for itself and Kubernetes calls safe."""

from __future__ import annotations

from tuning.compose import resolve


def container_sysctls() -> dict[str, str]:
    """Values by key."""
    settings = resolve("network").settings.values()
    return {setting.key: setting.value for setting in settings if setting.container}
