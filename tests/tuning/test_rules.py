import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuning.profile import Rule
from tuning.rules import chosen, lowers, port_list, ports, satisfied, stricter


@pytest.mark.parametrize(
    ("rule", "one", "other", "both"),
    [
        ("at_least", "10", "9", "10"),
        ("at_least", "4096 87380 16777216", "4096 131072 6291456", "4096 131072 16777216"),
        ("at_most", "60", "7200", "60"),
        ("at_most", "madvise", "always", "madvise"),
        ("at_most", "madvise", "never", "never"),
        ("exactly", "1", "2", "1"),
        ("as_wide", "10240 65535", "32768 60999", "10240 65535"),
        ("as_wide", "10240 60000", "9000 50000", "9000 60000"),
        ("includes", "8080", "9090-9091,8081", "8080-8081,9090-9091"),
        ("includes", "8080", "", "8080"),
    ],
)
def test_the_stricter_of_two_satisfies_both(rule: Rule, one: str, other: str, both: str) -> None:
    assert stricter(rule, one, other) == both
    assert satisfied(rule, one, both)


@pytest.mark.parametrize(
    ("rule", "want", "have"),
    [
        ("at_least", "10", "9"),
        ("at_least", "4096 87380 16777216", "4096 131072 6291456"),
        ("at_most", "60", "61"),
        ("at_most", "madvise", "[always] madvise never"),
        ("exactly", "1", "2"),
        ("exactly", "performance", "powersave"),
        ("as_wide", "10240 65535", "10241 65535"),
        ("as_wide", "10240 65535", "10240 65534"),
        ("includes", "8080,9090", "8080"),
        ("at_least", "1", "1 2"),
    ],
)
def test_a_kernel_that_has_less_does_not_satisfy(rule: Rule, want: str, have: str) -> None:
    assert not satisfied(rule, want, have)


@given(st.sampled_from(["at_least", "at_most"]), *[st.integers(0, 2**63)] * 3)
def test_merging_numbers_is_associative_and_commutative(rule: Rule, a: int, b: int, c: int) -> None:
    x, y, z = str(a), str(b), str(c)
    assert stricter(rule, stricter(rule, x, y), z) == stricter(rule, x, stricter(rule, y, z))
    assert stricter(rule, x, y) == stricter(rule, y, x)


@given(st.sets(st.integers(1, 65535), max_size=30))
def test_ports_survive_the_kernels_spelling(numbers: set[int]) -> None:
    assert set(ports(port_list(numbers))) == numbers


def test_a_switch_says_the_word_that_holds() -> None:
    assert chosen("always defer defer+madvise [madvise] never\n") == "madvise"
    assert chosen("4096\t131072\t6291456") == "4096 131072 6291456"


def test_one_smaller_number_of_three_is_lowered() -> None:
    assert lowers("4096 87380 16777216", "4096 131072 6291456")
    assert not lowers("4096 131072 16777216", "4096 131072 6291456")
