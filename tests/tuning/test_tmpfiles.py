"""Each case was seen with systemd-tmpfiles 252, on files below /tmp."""

import pytest

from tuning.given import Given
from tuning.machine import TMPFILES_FILE
from tuning.tmpfiles import of_systemd, winner

PATH = "/sys/kernel/mm/transparent_hugepage/enabled"
BEFORE, AFTER = "/etc/tmpfiles.d/aa.conf", "/etc/tmpfiles.d/zz.conf"


def found(before: str = "", after: str = "") -> Given | None:
    ours = f"# reason\nw {PATH} - - - - madvise"
    files = ((BEFORE, before), (TMPFILES_FILE, ours), (AFTER, after))
    return winner(PATH, of_systemd("\n".join(f"# {path}\n{text}\n" for path, text in files)))


@pytest.mark.parametrize(
    ("before", "after", "value", "file"),
    [
        ("", "", "madvise", TMPFILES_FILE),
        # The first line of a path counts, whatever comes after it.
        (f"w {PATH} - - - - always", "", "always", BEFORE),
        (f"w! {PATH}\t-\t-\t-\t-\talways", "", "always", BEFORE),
        (f"w+ {PATH} - - - - always", "", "always", BEFORE),
        (f'w "{PATH}" - - - - always', "", "always", BEFORE),
        (f"w {PATH.replace('/mm/', '//mm/./')} - - - - always", "", "always", BEFORE),
        ("", f"w {PATH} - - - - always", "madvise", TMPFILES_FILE),
        ("", f"w+ {PATH} - - - - always", "madvise", TMPFILES_FILE),
        # A pattern is another path: what is written last stays.
        ("w /sys/kernel/mm/*/enabled - - - - always", "", "madvise", TMPFILES_FILE),
        ("", "w /sys/kernel/mm/*/enabled - - - - always", "always", AFTER),
        ("", "w /sys/*/enabled - - - - always", "madvise", TMPFILES_FILE),
        # These come before all patterns, and stand in nobody's place.
        ("", f"F {PATH} - - - - always", "madvise", TMPFILES_FILE),
        (f"f+ {PATH} - - - - always", "", "madvise", TMPFILES_FILE),
        (f"z {PATH} 0644 - - -", "", "madvise", TMPFILES_FILE),
        (f"t {PATH} - - - - user.x=1", "", "madvise", TMPFILES_FILE),
        # These do.
        (f"x {PATH}", "", None, BEFORE),
        (f"r {PATH}", "", None, BEFORE),
        (f"R! {PATH}", "", None, BEFORE),
        (f"e {PATH} - - - -", "", None, BEFORE),
        ("x /sys/kernel/mm/*/enabled", "", "madvise", TMPFILES_FILE),
    ],
)
def test_who_writes_a_switch(before: str, after: str, value: str | None, file: str) -> None:
    one = found(before, after)
    assert one is not None
    assert (one.value, one.path) == (value, file)


def test_what_nobody_names_is_written_by_nobody() -> None:
    assert winner("/sys/x", of_systemd(f"# {BEFORE}\nw {PATH} - - - - always\nd /run/x 0755 root root\nz\n")) is None
