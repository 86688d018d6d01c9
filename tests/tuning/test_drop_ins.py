"""What our files say, and who says otherwise."""

import pytest

from tests.tuning.kernels import host
from tuning.barred import barred
from tuning.choices import Choices
from tuning.demand import Demand
from tuning.drop_ins import overruled
from tuning.machine import CHRONY_FILE, JOURNAL_FILE, LIMITS_FILE, SYSCTL_FILE
from tuning.plan import plan
from tuning.profile import ROLES

FILES = plan(ROLES, host(), Demand(), Choices()).files
ZZ = "/etc/systemd/journald.conf.d/zz.conf"


def journal(*others: tuple[str, str]) -> str:
    """As `systemd-analyze cat-config systemd/journald.conf` prints it."""
    files = (
        ("/etc/systemd/journald.conf", "[Journal]\nSystemMaxUse=4G\n#Storage=auto"),
        (JOURNAL_FILE, FILES[JOURNAL_FILE]),
        *others,
    )
    return "\n".join(f"# {path}\n{text}" for path, text in files)


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ((), ""),
        (((ZZ, "[Journal]\nStorage=none"),), ""),
        (((ZZ, "[Journal]\nSystemMaxUse = 1G"),), ""),
        (((ZZ, "[Journal]\nSystemMaxUse=8G"),), f"{ZZ} gives Journal.SystemMaxUse = 8G"),
        (((ZZ, "[Journal]\nRateLimitBurst="),), f"{ZZ} gives Journal.RateLimitBurst = its default"),
        (((ZZ, "[Other]\nSystemMaxUse=8G"),), ""),
        (((ZZ, "[Journal]\n#SystemMaxUse=8G"),), ""),
    ],
)
def test_a_later_drop_in_of_journald_is_found(others: tuple[tuple[str, str], ...], said: str) -> None:
    assert overruled(JOURNAL_FILE, FILES[JOURNAL_FILE], journal(*others)) == said


def test_a_file_that_nobody_reads_is_found() -> None:
    said = overruled(JOURNAL_FILE, FILES[JOURNAL_FILE], "# /etc/systemd/journald.conf\n[Journal]\n")
    assert said == "Journal.SystemMaxUse is in none of the files that are read"
    assert "logchange is in none" in overruled(CHRONY_FILE, FILES[CHRONY_FILE], "")


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("logchange 0.01\nlock_all\npool ntp.example iburst\nrtcsync\n", ""),
        ("logchange 0.01\nlogchange 0.5\nlock_all\n", "a file that is read later gives logchange = 0.5"),
        ("logchange 0.01\n", "lock_all is in none of the files that are read"),
    ],
)
def test_a_later_directive_of_chronys_is_found(printed: str, said: str) -> None:
    """`chronyd -p` prints what it understood, without the files' names."""
    assert overruled(CHRONY_FILE, FILES[CHRONY_FILE], printed) == said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", ""),
        ("* hard nofile 100", ""),
        ("other hard nofile 100", ""),
        ("veloz hard nofile 65535", ""),
        ("veloz hard nofile 100", "/etc/security/limits.d/zz.conf gives veloz hard nofile = 100"),
        ("veloz - nofile 100", "/etc/security/limits.d/zz.conf gives veloz soft nofile = 100"),
    ],
)
def test_a_later_limit_of_the_same_user_is_found(line: str, said: str) -> None:
    everything = f"# {LIMITS_FILE}\n{FILES[LIMITS_FILE]}\n# /etc/security/limits.d/zz.conf\n{line}\n"
    assert overruled(LIMITS_FILE, FILES[LIMITS_FILE], everything) == said


def test_files_whose_values_are_judged_one_by_one_are_left_to_that() -> None:
    assert overruled(SYSCTL_FILE, FILES[SYSCTL_FILE], "") == ""


@pytest.mark.parametrize(
    ("configuration", "line"),
    [
        ("blacklist nf_conntrack", "blacklist nf_conntrack"),
        ("blacklist nf-conntrack\n", "blacklist nf-conntrack"),
        ("install nf_conntrack /bin/false", "install nf_conntrack /bin/false"),
        ("install nf_conntrack /sbin/modprobe --ignore-install nf_conntrack hashsize=1", ""),
        ("options nf_conntrack hashsize=1\nblacklist nf_conntrack_ftp\nalias x nf_conntrack\nblacklist", ""),
    ],
)
def test_a_module_may_be_barred(configuration: str, line: str) -> None:
    assert barred("nf_conntrack", configuration) == line
