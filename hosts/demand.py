"""What a deployment asks of a host: plain numbers for `tuning`."""

from __future__ import annotations

from hosts.inventory import Member
from tuning.demand import Demand


def of(member: Member) -> Demand:
    return Demand(gateways=member.spec.gateways.replicas)
