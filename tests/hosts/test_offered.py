"""What a native install runs on is new enough: said before anything is changed, by what the host has or would get."""

from __future__ import annotations

import pytest

from hosts.offered import Offered, findings, offered, upstream
from stacks.balancer import Kind
from stacks.commands.failures import Failure
from stacks.commands.findings import show
from stacks.commands.output import Output


def policy(name: str, installed: str, candidate: str) -> str:
    """As `apt-cache policy` writes it."""
    return f"{name}:\n  Installed: {installed}\n  Candidate: {candidate}\n  Version table:\n     {candidate} 500"


def says(pythons: str, python3: str, venv: str, nginx: str, haproxy: str, postgresql: str) -> Offered:
    """A fresh host with lists of packages: of them it has python3 alone."""
    lines = [f"==veloz== pythons\n{pythons}\n==veloz== policy", policy("python3", python3, python3)]
    others = {"python3-venv": venv, "nginx": nginx, "haproxy": haproxy, "postgresql": postgresql}
    lines += [policy(name, "(none)", version) for name, version in others.items()]
    return offered("\n".join(lines).splitlines())


# Of their package lists.
DEBIAN_12 = says("3.11.2", "3.11.2-1+b1", "3.11.2-1+b1", "1.22.1-9+deb12u11", "2.6.12-1+deb12u4", "15+248+deb12u1")
DEBIAN_13 = says("3.13.5", "3.13.5-1", "3.13.5-1", "1.26.3-3+deb13u1", "3.0.11-1+deb13u2", "17+278")
UBUNTU_22 = says(
    "3.10.12", "3.10.6-1~22.04.1", "3.10.6-1~22.04.1", "1.18.0-6ubuntu14.7", "2.4.24-0ubuntu0.22.04.3", "14+238"
)
UBUNTU_24 = says(
    "3.12.3", "3.12.3-0ubuntu2.1", "3.12.3-0ubuntu2.1", "1.24.0-2ubuntu7.5", "2.8.16-0ubuntu0.24.04.3", "16+257build1.1"
)


def refused(has: Offered, system: tuple[str, str] = ("ubuntu", "22.04"), kind: Kind = "nginx") -> dict[str, str]:
    return {one.what.split()[0]: one.have for one in findings(has, system, kind) if one.verdict == "refused"}


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
@pytest.mark.parametrize("has", [DEBIAN_12, DEBIAN_13, UBUNTU_24])
def test_hosts_that_will_do(has: Offered, kind: Kind) -> None:
    assert {one.verdict for one in findings(has, ("", ""), kind)} == {"ok"}


def test_ubuntu_22_04_is_refused_by_its_versions() -> None:
    assert refused(UBUNTU_22) == {"python3": "3.10.12 on the host", "nginx": "1.18.0 in its package source"}
    assert refused(UBUNTU_22, kind="haproxy") == {"python3": "3.10.12 on the host"}
    with pytest.raises(
        Failure, match=r"have 3\.10\.12 on the host\. the gateway needs 3\.11 or newer: use Ubuntu 24\.04"
    ):
        show(list(findings(UBUNTU_22, ("ubuntu", "22.04"), "nginx")), Output(machine=True))


def test_what_an_administrator_added_counts() -> None:
    added = UBUNTU_22._replace(
        pythons=("3.10.12", "3.12.7"), candidates=UBUNTU_22.candidates | {"nginx": upstream("1.28.0-1~jammy")}
    )
    assert refused(added) == {}
    assert refused(added._replace(installed={"nginx": "1.18.0"})) == {"nginx": "1.18.0 on the host"}


def test_a_host_without_lists_of_packages_has_what_its_release_came_with() -> None:
    fresh = Offered(installed={"python3": "3.10.6"}, pythons=("3.10.12",))
    assert refused(fresh) == {"python3": "3.10.12 on the host", "nginx": "1.18.0 in its release"}
    assert refused(Offered(pythons=("3.12.3",)), ("ubuntu", "24.04")) == {}
    assert refused(Offered(), ("debian", "12")) == {}


def test_what_nobody_can_know_is_a_note() -> None:
    assert {one.verdict for one in findings(Offered(), ("other", "1"), "nginx")} == {"note"}
