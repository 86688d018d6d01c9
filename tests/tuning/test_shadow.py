import pytest

from tuning.machine import SYSCTL_FILE, UFW_DEFAULTS_FILE, UFW_FILE, UFW_SYSCTL_FILE
from tuning.shadow import boot, dotted, matches, winner

KEY = "net.ipv4.tcp_keepalive_time"
OURS = {SYSCTL_FILE: f"{KEY} = 60\nvm.dirty_bytes = 4096000\n"}
UFW = {UFW_FILE: "ENABLED=yes\n", UFW_DEFAULTS_FILE: f"IPT_SYSCTL={UFW_SYSCTL_FILE}\n"}


@pytest.mark.parametrize(
    ("others", "path", "value"),
    [
        ({}, SYSCTL_FILE, "60"),
        ({"/etc/sysctl.d/99-sysctl.conf": f"{KEY}=7200"}, SYSCTL_FILE, "60"),
        ({"/etc/sysctl.d/99-z.conf": f"{KEY}=7200"}, "/etc/sysctl.d/99-z.conf", "7200"),
        ({"/usr/lib/sysctl.d/zz.conf": f"-{KEY}=7200"}, "/usr/lib/sysctl.d/zz.conf", "7200"),
        ({"/run/sysctl.d/zz.conf": "net/ipv4/tcp_keepalive_time = 7200"}, "/run/sysctl.d/zz.conf", "7200"),
        # A file of the same name in a folder that comes first hides it, also an empty one.
        ({"/usr/lib/sysctl.d/zz.conf": f"{KEY}=7200", "/etc/sysctl.d/zz.conf": ""}, SYSCTL_FILE, "60"),
        (
            {"/usr/lib/sysctl.d/zz.conf": f"{KEY}=7200", "/run/sysctl.d/zz.conf": f"{KEY}=1"},
            "/run/sysctl.d/zz.conf",
            "1",
        ),
        # A pattern does not reach a key that is named anywhere.
        ({"/etc/sysctl.d/zz.conf": "net.ipv4.tcp_keepalive_* = 7200"}, SYSCTL_FILE, "60"),
        ({"/etc/sysctl.d/zz.conf": f"# {KEY}=1\n; {KEY}=2\n"}, SYSCTL_FILE, "60"),
        ({"/etc/sysctl.d/zz.txt": f"{KEY}=7200"}, SYSCTL_FILE, "60"),
        ({"/etc/sysctl.d/sub/zz.conf": f"{KEY}=7200"}, SYSCTL_FILE, "60"),
        ({**UFW, UFW_SYSCTL_FILE: "net/ipv4/tcp_keepalive_time=7200"}, UFW_SYSCTL_FILE, "7200"),
        ({**UFW, UFW_FILE: "ENABLED=no", UFW_SYSCTL_FILE: f"{KEY}=7200"}, SYSCTL_FILE, "60"),
        ({**UFW, UFW_DEFAULTS_FILE: "#IPT_SYSCTL=x", UFW_SYSCTL_FILE: f"{KEY}=7200"}, SYSCTL_FILE, "60"),
    ],
)
def test_the_last_file_that_names_a_key_wins(others: dict[str, str | None], path: str, value: str) -> None:
    found = winner(KEY, boot({**OURS, **others}))
    assert found is not None
    assert (found.path, found.value) == (path, value)


def test_a_key_that_is_taken_out_later_is_given_by_nobody() -> None:
    assert winner(KEY, boot({**OURS, "/etc/sysctl.d/zz.conf": f"-{KEY}\n"})) is None


def test_a_pattern_gives_a_key_that_nobody_names() -> None:
    found = winner("net.ipv4.tcp_x", boot({"/etc/sysctl.d/a.conf": "net.ipv4.tcp_? = 3\nnet.ipv4.* = 2\n"}))
    assert found is not None
    assert found.value == "2"


def test_the_other_one_of_a_pair_that_comes_later_clears_ours() -> None:
    later = winner("vm.dirty_bytes", boot({**OURS, "/etc/sysctl.d/zz.conf": "vm.dirty_ratio = 20"}))
    earlier = winner("vm.dirty_bytes", boot({**OURS, "/etc/sysctl.d/10.conf": "vm.dirty_ratio = 20"}))
    assert later is not None
    assert earlier is not None
    assert (later.key, earlier.key) == ("vm.dirty_ratio", "vm.dirty_bytes")


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
    assert matches("net.ipv4.conf.*.rp_filter", "net.ipv4.conf.all.rp_filter")
    assert not matches("net.*", "net.ipv4.tcp_x")
