"""ufw's rules: what is added, what is removed, whose is whose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts.ufw import Added, Rule, difference, parse

ADMIN = Rule(22, "192.0.2.7", "ssh, the administrator who ran this", first=True)
OFFICE = Rule(22, "10.0.0.0/8", "ssh, management", first=True)
WEB = Rule(443, "", "clients, https")
WANTED = (ADMIN, OFFICE, WEB)

SHOWN = """Added user rules (see 'ufw status' for running firewall):
ufw allow from 192.0.2.7 to any port 22 proto tcp comment 'veloz: ssh, the administrator who ran this'
ufw allow from 10.0.0.0/8 to any port 22 proto tcp comment 'veloz: ssh, management'
ufw allow 443/tcp comment 'veloz: clients, https'
"""


def test_what_ufw_shows_is_read() -> None:
    shown = SHOWN + "ufw limit 22/tcp\nufw allow OpenSSH\nufw route allow in on eth0 to any port 99\n(None)\n"
    assert parse(shown) == (
        *(Added(rule.arguments, f"veloz: {rule.why}") for rule in WANTED),
        Added("limit 22/tcp"),
        Added("allow OpenSSH"),
        Added("route allow in on eth0 to any port 99"),
    )


def test_nothing_is_done_where_all_is_there() -> None:
    assert difference(WANTED, parse(SHOWN)).changes == ()


def test_an_empty_firewall_gets_the_way_in_first() -> None:
    # Each is put before the one before it.
    assert [change.command.split("; ")[-1].split(" comment ")[0] for change in difference(WANTED, ()).changes] == [
        f"ufw prepend {OFFICE.arguments}",
        f"ufw prepend {ADMIN.arguments}",
        f"ufw {WEB.arguments}",
    ]


def test_what_is_ours_and_not_wanted_goes_after_the_new_is_there() -> None:
    moved = ADMIN._replace(source="192.0.2.8")
    changes = difference((moved, OFFICE, WEB), parse(SHOWN)).changes
    assert [change.words[0] for change in changes] == ["+", "-"]
    assert changes[-1].command == f"ufw delete {ADMIN.arguments}"


@pytest.mark.parametrize(
    ("line", "added", "instead", "refusing"),
    [
        # Theirs is enough.
        ("allow 443/tcp", 0, False, False),
        # Fewer than ours would let in, and still theirs to say.
        ("limit 443/tcp", 0, False, False),
        ("deny 443/tcp", 0, False, True),
        ("reject 443/tcp", 0, False, True),
        # The way in is not theirs to close: ufw would skip a rule for the same traffic without a word.
        ("deny from 192.0.2.7 to any port 22 proto tcp", 1, True, False),
        ("limit from 192.0.2.7 to any port 22 proto tcp", 1, True, False),
        ("allow from 192.0.2.7 to any port 22 proto tcp", 0, False, False),
    ],
)
def test_somebody_elses_rule_for_the_same_traffic(line: str, added: int, *, instead: bool, refusing: bool) -> None:
    foreign = Added(line, "mine")
    ours = tuple(one for one in parse(SHOWN) if one.traffic != foreign.traffic)
    found = difference(WANTED, (*ours, foreign))
    assert len(found.add) == added
    assert [step.instead for step in found.add if step.instead] == [foreign] * instead
    assert found.refusing == (foreign,) * refusing
    assert found.foreign == (foreign,) * (not instead)
    assert found.remove == ()


@pytest.mark.parametrize("refusal", ["deny from 192.0.2.0/24", "limit 22/tcp", "reject 22/tcp"])
def test_the_way_in_moves_before_what_may_close_it(refusal: str) -> None:
    found = difference(WANTED, (Added(refusal), *parse(SHOWN)))
    assert [step.rule for step in found.add] == [ADMIN, OFFICE]
    assert all(
        change.command.startswith(f"ufw delete {step.rule.arguments} ")
        for change, step in zip(found.changes, found.add[::-1], strict=True)
    )
    assert difference(WANTED, (*parse(SHOWN), Added(refusal))).changes == ()


def test_ipv6_that_was_left_out_gets_all_rules_again() -> None:
    assert [step.rule for step in difference(WANTED, parse(SHOWN), again=True).add] == list(WANTED)


SOURCES = st.sampled_from(["", "192.0.2.7", "10.0.0.0/8", "2001:db8::7", "2001:db8::/32"])
RULES = st.lists(
    st.builds(Rule, st.integers(1, 65_535), SOURCES, st.just("a reason"), st.just("allow"), first=st.booleans()),
    unique_by=lambda rule: rule.arguments,
)
FOREIGN = st.lists(
    st.sampled_from([Added("allow OpenSSH"), Added("deny 25/tcp", "mail"), Added("limit 22/tcp")]), unique=True
)


@given(RULES, FOREIGN, RULES)
def test_one_run_is_enough_and_keeps_what_is_not_ours(
    wanted: list[Rule], foreign: list[Added], before: list[Rule]
) -> None:
    added = [*foreign, *(Added(rule.arguments, f"veloz: {rule.why}") for rule in before)]
    after = applied(difference(wanted, added).changes, added)
    left = difference(wanted, after)
    assert left.changes == ()
    assert [line for line in after if not line.ours] == [
        line for line in foreign if line not in _replaced(wanted, foreign)
    ]


def _replaced(wanted: list[Rule], foreign: list[Added]) -> list[Added]:
    return [step.instead for step in difference(wanted, foreign).add if step.instead]


def applied(changes: tuple[object, ...], added: list[Added]) -> list[Added]:
    """What ufw would make of the commands, as far as these tests use them."""
    lines = list(added)
    for change in changes:
        for command in change.command.split("; "):  # type: ignore[attr-defined]
            (line,) = parse(command.split(" >/dev/null")[0])
            verb, _, rest = line.arguments.partition(" ")
            if verb == "delete":
                lines = [one for one in lines if one.arguments != rest]
            elif verb == "prepend":
                lines.insert(0, Added(rest, line.comment))
            elif line.arguments not in {one.arguments for one in lines}:
                lines.append(line)
    return lines
