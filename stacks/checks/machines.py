"""Bare hosts: each named once, none that everybody may manage, and nothing said that has no effect."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator

from stacks.refusals import Refusal
from stacks.spec import Deployment


def problems(spec: Deployment) -> Iterator[Refusal]:
    hosts = spec.hosts
    for address, times in Counter(machine.address for machine in hosts.machines).items():
        if times > 1:
            rule = f"must be named once; it is {times} times"
            yield Refusal("hosts.machines", address, rule, "give the one entry all its roles")
    for number, machine in enumerate(hosts.machines):
        path = f"hosts.machines[{number}].roles"
        if not machine.roles:
            yield Refusal(path, "[]", "must name what the host is for", "leave it out for everything")
        if len(set(machine.roles)) < len(machine.roles):
            yield Refusal(path, list(machine.roles), "must name each role once", "take the second one out")
    for number, network in enumerate(hosts.management):
        path = f"hosts.management[{number}]"
        try:
            everybody = ipaddress.ip_network(network).prefixlen == 0
        except ValueError:
            yield Refusal(path, network, "must be a network without host bits", "write e.g. 192.0.2.0/24")
            continue
        if everybody:
            yield Refusal(path, network, "must not be everybody: it may use SSH and see monitoring", "name a network")
    if len(hosts.machines) > 1 and hosts.install == "native":
        rule = f"must be docker for {len(hosts.machines)} machines: the native install puts everything on one"
        yield Refusal("hosts.install", hosts.install, rule, "name one machine, or write docker")
