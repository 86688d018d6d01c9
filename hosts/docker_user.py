"""Docker's published ports pass ufw by; this block of /etc/ufw/after.rules puts the same policy into DOCKER-USER. Pure.

Docker never touches what is in that chain and calls it before its own rules, whoever of the two starts first. ufw loads the
block with every start and reload, and empties the chain then: so what others have there goes into the block too.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from hosts.ufw import Rule

Family: TypeAlias = Literal[4, 6]
FAMILIES: Final[tuple[Family, ...]] = (4, 6)
BEGIN: Final = "# BEGIN veloz: ports that Docker publishes"
END: Final = "# END veloz"
CHAIN: Final = "veloz-docker"
HOOK: Final = "DOCKER-USER"
JUMP: Final = f"-A {HOOK} -j {CHAIN}"
_SECURITY_JUMP: Final = f"-A FORWARD -j {CHAIN}"
_RETURN: Final = f"-A {HOOK} -j RETURN"
_AFTER_FORWARD: Final[dict[Family, str]] = {4: "ufw-after-forward", 6: "ufw6-after-forward"}
FILES: Final[dict[Family, str]] = {4: "/etc/ufw/after.rules", 6: "/etc/ufw/after6.rules"}
# Docker before 23 accepts IPv6 without ever calling DOCKER-USER.
_TWICE: Final[Family] = 6
# Docker's own bridges: the first, those of user-defined networks, that of Swarm.
_BRIDGES: Final = ("docker0", "br-+", "docker_gwbridge")
_USER_DEFINED: Final = re.compile(r"br-[0-9a-f]{12}")


class Kernel(NamedTuple):
    """`iptables -S` of the two chains, or `ip6tables -S`; empty where there is no such chain.

    `security`: of the table of that name. `bridges`: of the host that are called like Docker's and are not.
    """

    hook: tuple[str, ...] = ()
    chain: tuple[str, ...] = ()
    security: tuple[str, ...] = ()
    bridges: tuple[str, ...] = ()

    @property
    def foreign(self) -> tuple[str, ...]:
        """Rules of others; the RETURN at the end is Docker's and means nothing."""
        return tuple(rule for rule in self.hook if rule.startswith("-A ") and rule not in {JUMP, _RETURN})

    @property
    def foreign_security(self) -> tuple[str, ...]:
        return tuple(rule for rule in self.security if rule.startswith("-A FORWARD ") and rule != _SECURITY_JUMP)


def of_docker(bridge: str) -> bool:
    """Of those that are called br-…, whether Docker made it."""
    return _USER_DEFINED.fullmatch(bridge) is not None


def block(rules: Sequence[Rule], kernel: Kernel, family: Family, ssh_ports: Sequence[int] = ()) -> str:
    """With its markers, and a newline at its end. SSH is the host's own, never a container's."""
    lines = (
        BEGIN,
        "*filter",
        f":{HOOK} - [0:0]",
        f":{CHAIN} - [0:0]",
        *kernel.foreign,
        JUMP,
        _RETURN,
        # Also where Docker does not call its chain: IPv6 without its ip6tables.
        f"-A {_AFTER_FORWARD[family]} -j {CHAIN}",
        *chain(rules, kernel, family, ssh_ports),
        "COMMIT",
        *(_security(rules, kernel, family, ssh_ports) if family == _TWICE else ()),
        END,
    )
    return "\n".join(lines) + "\n"


def chain(rules: Sequence[Rule], kernel: Kernel, family: Family, ssh_ports: Sequence[int] = ()) -> tuple[str, ...]:
    """As `iptables -S` prints them."""
    return tuple(f"-A {CHAIN} {rule}" for rule in _rules(rules, kernel, family, ssh_ports))


def loaded(rules: Sequence[Rule], kernel: Kernel, family: Family, ssh_ports: Sequence[int] = ()) -> bool:
    """Whether the kernel has the block, called before Docker's rules."""
    want = chain(rules, kernel, family, ssh_ports)
    secure = _SECURITY_JUMP in kernel.security and _of_chain(kernel.security) == want
    return JUMP in kernel.hook and _of_chain(kernel.chain) == want and (secure or family != _TWICE)


def _security(rules: Sequence[Rule], kernel: Kernel, family: Family, ssh_ports: Sequence[int]) -> tuple[str, ...]:
    """The same in a table that is asked whatever others have accepted, and that hardly anybody else uses."""
    return (
        "*security",
        f":{CHAIN} - [0:0]",
        "-F FORWARD",
        *kernel.foreign_security,
        _SECURITY_JUMP,
        *chain(rules, kernel, family, ssh_ports),
        "COMMIT",
    )


def _of_chain(rules: Sequence[str]) -> tuple[str, ...]:
    return tuple(rule for rule in rules if rule.startswith(f"-A {CHAIN} "))


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
