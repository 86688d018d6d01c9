"""`gateways.settings`, judged by the gateway's own rules: its environment is made and read as it would read it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from app.settings import Settings, SettingsError
from app.variables import PREFIX
from stacks.environment import DERIVED
from stacks.gateway_settings import gateway_settings
from stacks.refusals import Refusal
from stacks.spec import Deployment

_PATH: Final = "gateways.settings"
# From here on a balancer can close idle connections before the gateway does.
_LEAST_LINGER: Final = 1.0


def problems(spec: Deployment) -> Iterator[Refusal]:
    for name, value in spec.gateways.settings.items():
        if name in DERIVED:
            rule = f"follows from {DERIVED[name]}"
            yield Refusal(f"{_PATH}.{name}", value, rule, "leave it out")
    try:
        settings = gateway_settings(spec)
    except SettingsError as error:
        for problem in error.problems:
            field = problem.name.removeprefix(PREFIX).lower()
            if field not in DERIVED:
                yield Refusal(f"{_PATH}.{field}", problem.value, problem.rule, _named(problem.remedy))
    else:
        yield from _together(spec, settings)


def _together(spec: Deployment, settings: Settings) -> Iterator[Refusal]:
    """With the rest of the description."""
    if settings.market_source == "replay" and (spec.topology == "kubernetes" or spec.gateways.replicas > 1):
        rule = "must not be replay with several gateways: each would play it from its own start"
        remedy = "use sim, or one gateway in single or compose"
        yield Refusal(f"{_PATH}.market_source", settings.market_source, rule, remedy)
    if settings.stop_seconds > spec.gateways.stop_grace:
        rule = f"must be at least the {settings.stop_seconds:g} s that a gateway takes to leave"
        remedy = f"raise it, or lower {_PATH}.drain_timeout or drain_linger"
        yield Refusal("gateways.stop_grace", spec.gateways.stop_grace, rule, remedy)
    if spec.topology != "single" and settings.drain_linger < _LEAST_LINGER:
        rule = f"must be at least {_LEAST_LINGER:g} behind a balancer, which has to close idle connections first"
        yield Refusal(f"{_PATH}.drain_linger", settings.drain_linger, rule, "raise it")


def _named(remedy: str) -> str:
    """As a stack file calls a setting."""
    words = remedy.split()
    return " ".join(word.replace(PREFIX, "").lower() if word.startswith(PREFIX) else word for word in words)
