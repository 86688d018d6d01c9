"""Each rule as a policy.

Pulumi's engine shows policies secrets in the clear, so whether one is encrypted is for `preview` to see.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec
import pulumi
from pulumi_policy import (
    Policy,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)

from stacks.document import load
from stacks.policy import RULES, STACK_RULES, given
from stacks.refusals import SpecError
from stacks.rules.model import Given, Resource, Rule, StackRule

_Check: TypeAlias = Callable[[ResourceValidationArgs, ReportViolation], None]
_StackCheck: TypeAlias = Callable[[StackValidationArgs, ReportViolation], None]


def policies() -> list[Policy]:
    resources: list[Policy] = [ResourceValidationPolicy(rule.id, rule.says, _resource(rule)) for rule in RULES]
    return resources + [StackValidationPolicy(rule.id, rule.says, _stack(rule)) for rule in STACK_RULES]


def _resource(rule: Rule) -> _Check:
    def check(arguments: ResourceValidationArgs, report: ReportViolation) -> None:
        resource = Resource(arguments.resource_type, arguments.name, plain(arguments.props))
        for violation in rule.violations(resource, allowed()):
            report(str(violation), None)

    return check


def _stack(rule: StackRule) -> _StackCheck:
    def check(arguments: StackValidationArgs, report: ReportViolation) -> None:
        resources = [Resource(one.resource_type, one.name, plain(one.props)) for one in arguments.resources]
        for violation in rule.violations(resources):
            report(str(violation), None)

    return check


def allowed() -> Given:
    """By the stack's description; without one nothing may be published."""
    document = pulumi.Config("veloz").get_object("deployment")
    try:
        spec = load(document) if isinstance(document, Mapping) else None
    except SpecError:  # the program says what is wrong with it
        spec = None
    found = given(spec) if spec else Given()
    return msgspec.structs.replace(found, marked=False)


def plain(value: Any) -> Any:  # noqa: ANN401 - any property
    """Out of the engine's proxies. Raises its UnknownValueError for what a preview does not know yet."""
    if isinstance(value, Mapping):
        return {key: plain(value[key]) for key in value}
    if isinstance(value, str | bytes) or not hasattr(value, "__len__"):
        return value
    return [plain(one) for one in value]
