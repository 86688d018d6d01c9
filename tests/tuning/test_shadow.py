import pytest

from tuning.given import Given, headed, matches
from tuning.machine import SYSCTL_FILE, UFW_SYSCTL_FILE
from tuning.shadow import dotted, of_systemd, of_ufw, ufw_file, winner

KEY = "net.ipv4.tcp_keepalive_time"
OURS = (SYSCTL_FILE, f"{KEY} = 60\nvm.dirty_bytes = 4096000\nvm.overcommit_ratio = 80")


def boot(*later: tuple[str, str]) -> tuple[Given, ...]:
    """Of our file and those after it."""
    return of_systemd("\n".join(f"# {path}\n{text}\n" for path, text in (OURS, *later)))


@pytest.mark.parametrize(
    ("later", "path", "value"),
    [
        ((), SYSCTL_FILE, "60"),
        ((("/etc/sysctl.d/99-z.conf", f"{KEY}=7200"),), "/etc/sysctl.d/99-z.conf", "7200"),
        ((("/usr/lib/sysctl.d/zz.conf", f"-{KEY} = 7200"),), "/usr/lib/sysctl.d/zz.conf", "7200"),
        ((("/run/sysctl.d/zz.conf", "net/ipv4/tcp_keepalive_time = 7200"),), "/run/sysctl.d/zz.conf", "7200"),
        # A pattern does not reach a key that is named anywhere.
        ((("/etc/sysctl.d/zz.conf", "net.ipv4.tcp_keepalive_* = 7200"),), SYSCTL_FILE, "60"),
        ((("/etc/sysctl.d/zz.conf", f"# {KEY}=1\n; {KEY}=2\n"),), SYSCTL_FILE, "60"),
        # What is given the same again stays where it was, as systemd-sysctl has it.
        ((("/etc/a.conf", f"{KEY} = 60"),), SYSCTL_FILE, "60"),
    ],
)
def test_the_last_file_that_names_a_key_wins(later: tuple[tuple[str, str], ...], path: str, value: str) -> None:
    assert winner(KEY, boot(*later)) == Given(KEY, value, path)


def test_a_key_that_is_taken_out_later_is_given_by_nobody() -> None:
    assert winner(KEY, boot(("/etc/sysctl.d/zz.conf", f"-{KEY}\n"))) is None


def test_a_pattern_gives_a_key_that_nobody_names() -> None:
    found = winner("net.ipv4.tcp_x", boot(("/etc/sysctl.d/zz.conf", "net.ipv4.tcp_? = 3\nnet.ipv4.* = 2\n")))
    assert found == Given("net.ipv4.*", "2", "/etc/sysctl.d/zz.conf")


@pytest.mark.parametrize(
    ("key", "line", "clears"),
    [
        ("vm.dirty_bytes", "vm.dirty_ratio = 20", True),
        ("vm.dirty_bytes", "vm.dirty_ratio = 0", False),
        ("vm.dirty_bytes", "vm.dirty_background_ratio = 5", False),
        ("vm.overcommit_ratio", "vm.overcommit_kbytes = 0", True),
    ],
)
def test_the_other_one_of_a_pair_that_comes_later_clears_ours(key: str, line: str, clears: bool) -> None:  # noqa: FBT001
    found = winner(key, boot(("/etc/sysctl.d/zz.conf", line)))
    assert found is not None
    assert (found.path == "/etc/sysctl.d/zz.conf") is clears


def test_the_other_one_of_a_pair_that_comes_earlier_does_no_harm() -> None:
    given = of_systemd(f"# /etc/10.conf\nvm.dirty_ratio = 20\n# {SYSCTL_FILE}\nvm.dirty_bytes = 4096000\n")
    assert winner("vm.dirty_bytes", given) == Given("vm.dirty_bytes", "4096000", SYSCTL_FILE)


def test_what_ufw_gives_comes_after_all_of_systemds() -> None:
    given = (*boot(), *of_ufw(UFW_SYSCTL_FILE, "net/ipv4/tcp_keepalive_time=7200\nvm/dirty_ratio=20"))
    assert winner(KEY, given) == Given(KEY, "7200", UFW_SYSCTL_FILE)
    assert winner("vm.dirty_bytes", given) == Given("vm.dirty_ratio", "20", UFW_SYSCTL_FILE)


@pytest.mark.parametrize(
    ("enabled", "defaults", "expected"),
    [
        ("ENABLED=yes", "# x\nIPT_SYSCTL=/etc/ufw/sysctl.conf", "/etc/ufw/sysctl.conf"),
        ("ENABLED=no", "IPT_SYSCTL=/etc/ufw/sysctl.conf", ""),
        ("ENABLED=yes", "#IPT_SYSCTL=/etc/ufw/sysctl.conf", ""),
        ("", "", ""),
    ],
)
def test_ufw_gives_values_only_when_it_is_on_and_told_to(enabled: str, defaults: str, expected: str) -> None:
    assert ufw_file(enabled, defaults) == expected


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ("net/ipv4/conf/enp3s0.200/forwarding", "net.ipv4.conf.enp3s0/200.forwarding"),
        ("net.ipv4.conf.enp3s0/200.forwarding", "net.ipv4.conf.enp3s0/200.forwarding"),
        ("kernel/domainname", "kernel.domainname"),
    ],
)
def test_both_separators_name_the_same_key(given: str, key: str) -> None:
    assert dotted(given) == key


def test_a_star_does_not_reach_over_a_dot() -> None:
    assert matches("net.ipv4.conf.*.rp_filter", "net.ipv4.conf.all.rp_filter", ".")
    assert not matches("net.*", "net.ipv4.tcp_x", ".")


def test_a_comment_that_begins_with_a_path_is_no_heading() -> None:
    text = "# /etc/a.conf\n# /run/lock is used by programs\none\n\n# /etc/b.conf\ntwo"
    assert list(headed(text)) == [("/etc/a.conf", "one"), ("/etc/b.conf", "two")]
