"""Docker's published ports pass ufw by; this block of /etc/ufw/after.rules has the same policy where all must come by. Pure.

It stands in the table `security`, which the kernel asks last, whatever was accepted before: by Docker with its own rules, or in
DOCKER-USER by those who write there. That chain is left to them: ufw would have to empty it with every reload.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from hosts import foreign_rules
from hosts.ufw import Rule

Family: TypeAlias = Literal[4, 6]
FAMILIES: Final[tuple[Family, ...]] = (4, 6)
BEGIN: Final = "# BEGIN veloz: ports that Docker publishes"
END: Final = "# END veloz"
CHAIN: Final = "veloz-docker"
HOOK: Final = "FORWARD"
JUMP: Final = f"-A {HOOK} -j {CHAIN}"
FILES: Final[dict[Family, str]] = {4: "/etc/ufw/after.rules", 6: "/etc/ufw/after6.rules"}
# Docker's own bridges: the first, those of user-defined networks, that of Swarm.
_BRIDGES: Final = ("docker0", "br-+", "docker_gwbridge")
_USER_DEFINED: Final = re.compile(r"br-[0-9a-f]{12}")


class Kernel(NamedTuple):
    """`security`: that table as `iptables-save` or `ip6tables-save` prints it; empty where there is none.

    `docker_user`: `iptables -S` of Docker's chain for others. `bridges`: of the host that are called like Docker's and are not.
    """

    security: tuple[str, ...] = ()
    docker_user: tuple[str, ...] = ()
    bridges: tuple[str, ...] = ()

    @property
    def called(self) -> bool:
        return JUMP in self.security

    @property
    def foreign(self) -> tuple[str, ...]:
        """Rules of others in the chain that the block empties."""
        return tuple(rule for rule in self.security if rule.startswith(f"-A {HOOK} ") and rule != JUMP)

    @property
    def ahead(self) -> tuple[str, ...]:
        """Of those, the ones that ours come too late for: they may let pass what ours would drop."""
        before = self.security[: self.security.index(JUMP)] if self.called else ()
        return tuple(rule for rule in before if rule in self.foreign and foreign_rules.passes(rule, self.security))


def of_docker(bridge: str) -> bool:
    """Of those that are called br-…, whether Docker made it."""
    return _USER_DEFINED.fullmatch(bridge) is not None


def block(rules: Sequence[Rule], kernel: Kernel, family: Family, ssh_ports: Sequence[int] = ()) -> str:
    """With its markers, and a newline at its end. SSH is the host's own, never a container's."""
    lines = (
        BEGIN,
        "*security",
        f":{CHAIN} - [0:0]",
        # iptables-restore knows no other way of having a rule once; nearly nobody else is in this table.
        f"-F {HOOK}",
        JUMP,
        # One that cannot be loaded at boot would keep out ours too. Once, when its owner has added it again.
        *(rule for rule in dict.fromkeys(kernel.foreign) if not foreign_rules.needs(rule)),
        *chain(rules, kernel, family, ssh_ports),
        "COMMIT",
        END,
    )
    return "\n".join(lines) + "\n"


def chain(rules: Sequence[Rule], kernel: Kernel, family: Family, ssh_ports: Sequence[int] = ()) -> tuple[str, ...]:
    """As `iptables -S` prints them."""
    return tuple(f"-A {CHAIN} {rule}" for rule in _rules(rules, kernel, family, ssh_ports))


def loaded(rules: Sequence[Rule], kernel: Kernel, family: Family, ssh_ports: Sequence[int] = ()) -> bool:
    """Whether the kernel has the block, called before anything that may let pass what it drops."""
    have = tuple(rule for rule in kernel.security if rule.startswith(f"-A {CHAIN} "))
    return kernel.called and not kernel.ahead and have == chain(rules, kernel, family, ssh_ports)


def _rules(rules: Sequence[Rule], kernel: Kernel, family: Family, ssh_ports: Sequence[int]) -> Iterator[str]:
    yield "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"
    for rule in rules:
        if rule.action == "allow" and rule.port not in ssh_ports and _of(rule.source, family):
            # The port that the client asked for, before Docker's NAT; what was not translated came round it.
            who = f"-s {ipaddress.ip_network(rule.source)} " if rule.source else ""
            yield f"{who}-p tcp -m conntrack --ctstate DNAT --ctorigdstport {rule.port} -j RETURN"
    for outer in kernel.bridges:
        yield from _closed(f"-i {outer} ")
    for bridge in _BRIDGES:
        yield f"-i {bridge} -j RETURN"
    yield from _closed("")


def _closed(where: str) -> Iterator[str]:
    yield f"{where}-m conntrack --ctstate DNAT -j DROP"
    for bridge in _BRIDGES:
        yield f"{where}-o {bridge} -j DROP"


def _of(text: str, family: Family) -> bool:
    return not text or ipaddress.ip_network(text).version == family
