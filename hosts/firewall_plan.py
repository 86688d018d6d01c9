"""What to do to a host's firewall so that it is as the description says, and how to undo all of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from hosts import docker_ports, foreign_rules, ufw
from hosts.docker_ports import BEGIN, END, FAMILIES, FILES, Family, Kernel
from hosts.firewall_facts import STATE, Firewall
from hosts.ufw import Change, Rule
from stacks.commands.failures import Failure

GUARD: Final = f"{STATE}/guard.sh"
_FAMILY: Final = "IPV6"
# What ufw's files say, and the command that makes them say it.
DEFAULTS: Final = {
    _FAMILY: ("yes", "sed -i 's/^IPV6=.*/IPV6=yes/' /etc/default/ufw"),
    "DEFAULT_INPUT_POLICY": ("DROP", "ufw default deny incoming"),
    "DEFAULT_OUTPUT_POLICY": ("ACCEPT", "ufw default allow outgoing"),
    "LOGLEVEL": ("low", "ufw logging low"),
}
# A run of commands has to be over before the timer is; ufw takes up to a third of a second for one.
_AT_ONCE: Final = 20


class Plan(NamedTuple):
    """`notes`: what a person should know and nothing is done about."""

    changes: tuple[Change, ...]
    notes: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[Plan, ...]:
        """To be done and confirmed one after the other; after each the way in is open."""
        return tuple(Plan(self.changes[at : at + _AT_ONCE]) for at in range(0, len(self.changes), _AT_ONCE))

    @property
    def script(self) -> str:
        """Of the host's shell, to be run with -e and -u."""
        return "".join(f"{change.command}\n" for change in self.changes)


def plan(rules: Sequence[Rule], found: Firewall) -> Plan:
    """No changes when all is as it should be. Raises Failure where nothing may be done."""
    _possible(found)
    difference = ufw.difference(rules, found.added, again=found.installed and found.defaults.get(_FAMILY) != "yes")
    # Files that ufw has to load; IPv6 first, so that rules are of both families.
    family = tuple(_defaults(found, _FAMILY))
    blocks = tuple(_blocks(rules, found))
    # Closed last, when the way in is there.
    closed = tuple(_defaults(found, *(name for name in DEFAULTS if name != _FAMILY)))
    running = _running(found, load=bool(family or blocks) or not _loaded(rules, found))
    return Plan((*family, *difference.changes, *blocks, *closed, *running), tuple(_notes(rules, found, difference)))


def off(found: Firewall) -> Plan:
    """Back to what was there before the first run; rules that somebody else has added since are kept."""
    if not found.original:
        return Plan((), ("nothing to undo: this command has not changed the firewall of this host",))
    before = {line.arguments for line in found.original_added}
    since = [line for line in found.added if not line.ours and line.arguments not in before]
    kept = tuple(Change(f"  {line.arguments}: added since by somebody else, kept", line.command) for line in since)
    return Plan((Change("- the firewall as it was before the first run", f"sh {GUARD} original"), *kept))


def ssh_ports(rules: Sequence[Rule]) -> tuple[int, ...]:
    return tuple({rule.port: None for rule in rules if rule.first})


def wanted_block(rules: Sequence[Rule], found: Firewall, family: Family) -> str:
    return docker_ports.block(rules, found.kernel.get(family, Kernel()), family, ssh_ports(rules))


def _possible(found: Firewall) -> None:
    if found.rivals:
        raise Failure(
            f"{' and '.join(found.rivals)}: active or started at boot, and two firewalls on a host undo each other; "
            f"first say there: systemctl disable --now {' '.join(found.rivals)}, with a way in that does not need it"
        )
    for family, text in found.blocks.items():
        if text and not text.endswith(f"{END}\n"):
            raise Failure(
                f"{FILES[family]}: {BEGIN!r} has no {END!r} after it; put that line back where the block ends"
            )


def _defaults(found: Firewall, *names: str) -> Iterator[Change]:
    for name in names:
        want, command = DEFAULTS[name]
        have = found.defaults.get(name, "unset")
        if have != want:
            yield Change(f"~ {name}: {have} → {want}", f"{command} >/dev/null")


def _blocks(rules: Sequence[Rule], found: Firewall) -> Iterator[Change]:
    for family in FAMILIES:
        want = wanted_block(rules, found, family)
        have = found.blocks.get(family, "")
        if have != want:
            file = FILES[family]
            parts = _difference(have.splitlines(), want.splitlines())
            yield Change(
                f"~ {file}: {parts}",
                f"sed -i '/^{BEGIN}$/,/^{END}$/d' {file}\ncat >>{file} <<'VELOZ'\n{want}VELOZ",
            )


def _difference(have: Sequence[str], want: Sequence[str]) -> str:
    if not have:
        return "what Docker publishes obeys the same rules"
    gone = [f"- {line}" for line in have if line not in want]
    come = [f"+ {line}" for line in want if line not in have]
    return "; ".join((*gone, *come)) or "another order"


def _running(found: Firewall, *, load: bool) -> Iterator[Change]:
    """Rules are in force as soon as they are added; files and IPv6 when ufw loads them."""
    if not found.running or found.defaults.get("ENABLED") != "yes":
        yield Change("~ the firewall is switched on", "ufw --force enable >/dev/null")
    elif load:
        yield Change("~ the firewall is loaded anew", "ufw reload >/dev/null")
    if not found.at_boot:
        yield Change("~ the firewall starts at boot", "systemctl enable ufw 2>/dev/null")


def _loaded(rules: Sequence[Rule], found: Firewall) -> bool:
    return all(
        docker_ports.loaded(rules, found.kernel.get(family, Kernel()), family, ssh_ports(rules))
        for family in found.families
    )


def _others(kernel: Kernel, where: str) -> Iterator[str]:
    for rule in kernel.foreign:
        if missing := foreign_rules.needs(rule):
            yield (
                f"kept, but only until ufw is loaded anew or the host boots: {rule} ({where}, table security); "
                f"it needs {missing}, which may not be there then, so whoever made the rule has to add it again"
            )
        else:
            yield f"kept, somebody else's rule: {rule} ({where}, table security)"
    for rule in kernel.docker_user:
        if rule.startswith("-A ") and foreign_rules.accepts(rule):
            yield f"{rule} ({where}): somebody else's rule; it opens nothing that the description does not open"


def _notes(rules: Sequence[Rule], found: Firewall, difference: ufw.Difference) -> Iterator[str]:
    for line in difference.refusing:
        yield f"ufw {line.arguments}: somebody else refuses what the description opens; it stays closed while that rule is there"
    for line in difference.foreign:
        yield f"kept, somebody else's rule: ufw {line.arguments}" + (f" ({line.comment})" if line.comment else "")
    for family in FAMILIES:
        yield from _others(found.kernel.get(family, Kernel()), f"IPv{family}")
    if not any(rule.first and "management" in rule.why for rule in rules):
        yield "hosts.management names no network: SSH is open to the administrator's address of this run alone"
