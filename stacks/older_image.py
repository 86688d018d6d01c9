"""An image that is older than this program: gateways refuse variables that they do not know, so it gets none of those.

What it does not know is left out where it only says what is usual today; anything else is refused: the deployment would be
another one than the description says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from app.settings import VARIABLES
from app.variables import PREFIX, Problem, Variable, convert
from stacks.refusals import Refusal
from stacks.spec import Deployment

_FILE: Final = "_FILE"
_REMEDY: Final = "take an image that knows it, or deploy with the VeloZ that this image is of"
# By their variables.
_READ: Final[Mapping[str, Variable]] = {one.name: one for one in VARIABLES} | {
    one.name + _FILE: one for one in VARIABLES if one.secret
}
SETTINGS: Final = tuple(one.field for one in VARIABLES)


def lacks(settings: Collection[str]) -> bool:
    """Whether an image that knows these settings knows fewer than this program."""
    return not set(SETTINGS) <= set(settings)


def knows(spec: Deployment, name: str) -> bool:
    """Whether the image's gateways know a variable; what this program does not know itself is refused elsewhere."""
    known = spec.images.known_settings
    return not known or name not in _READ or _READ[name].field in known


def refusals(spec: Deployment, variables: Mapping[str, str], derived: Mapping[str, str]) -> Iterator[Refusal]:
    """Of the variables that this program would set those that the image does not know and that matter.

    `derived`: what those settings follow from that a description does not say itself.
    """
    for name, value in variables.items():
        if knows(spec, name) or _usual(name, value):
            continue
        field = _READ[name].field
        rule = f"is not a setting of {spec.images.veloz}"
        if field in derived:
            yield Refusal("images.veloz", spec.images.veloz, f"knows no setting {field}, which follows from "
                          f"{derived[field]}", _REMEDY)  # fmt: skip
        else:
            yield Refusal(f"gateways.settings.{field}", value, rule, f"leave it out, or {_REMEDY}")


def secret_refusals(spec: Deployment, given: Iterable[str], path: str) -> Iterator[Refusal]:
    """Of the optional secrets that a stack gives to its gateways those that the image does not know."""
    for name in given:
        if not knows(spec, f"{PREFIX}{name.upper()}{_FILE}"):
            rule = f"is not a setting of {spec.images.veloz}"
            yield Refusal(f"{path}.{name}", None, rule, f"remove it, or {_REMEDY}")


def _usual(name: str, value: str) -> bool:
    """Whether a variable says no more than what is usual without it. A secret's file is never usual."""
    variable = _READ[name]
    try:
        return name == variable.name and convert(variable, value) == variable.default
    except Problem:
        return False  # it is refused for its own sake
