"""Which hosts are in a shard."""

import hashlib
import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.run.unattended.shard import Shard, explain_exclusion, read_shard

HOSTS = [hashlib.sha256(str(n).encode()).hexdigest()[:16] for n in range(4000)]
host_ids = st.text("0123456789abcdef", min_size=16, max_size=16)
percents = st.integers(0, 10_000).map(lambda n: read_shard(f"{n / 100:.2f}%"))


def is_in(shard: Shard, host: str, plan: str = "opens", label: str | None = None) -> bool:
    return explain_exclusion(shard, host, plan, label) is None


@given(host_ids, percents, percents, st.sampled_from([None, "ring-1", "ä"]))
def test_a_larger_percentage_only_adds_hosts(
    host: str, one: Shard, other: Shard, label: str | None
) -> None:
    small, large = sorted((one, other), key=lambda shard: shard.part)
    assert is_in(large, host, label=label) or not is_in(small, host, label=label)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("5%", Fraction(1, 20)),
        ("0.5%", Fraction(1, 200)),
        ("100%", Fraction(1)),
        ("0%", Fraction(0)),
        ("0.0000001%", Fraction(1, 10**9)),
        ("33.3%", Fraction(333, 1000)),
    ],
)
def test_percentages_are_exact(text: str, part: Fraction) -> None:
    assert read_shard(text).part == part


@pytest.mark.parametrize(
    "text", ["5", "%", "-1%", "100.1%", "1e1%", "1/2%", "five%", "", "5 %", "nan%", "1_0%", "."]
)
def test_what_is_no_percentage_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no percentage from 0% to 100%"):
        read_shard(text)


def test_all_hosts_are_in_the_whole_and_none_in_nothing() -> None:
    assert all(is_in(read_shard("100%"), host) for host in HOSTS)
    assert not any(is_in(read_shard("0%"), host) for host in HOSTS)


def test_a_host_without_an_identity_is_in_no_shard() -> None:
    why = explain_exclusion(read_shard("100%"), "unknown", "opens", None)
    assert why == "this host has no machine id (/etc/machine-id), so it is in no shard"


def test_other_hosts_come_first_for_another_plan_or_label() -> None:
    """Of 4,000 hosts 200 are expected, with a deviation of 14."""
    shard = read_shard("5%")
    chosen = [
        {host for host in HOSTS if is_in(shard, host, plan, label)}
        for plan, label in (("opens", None), ("opens", "a"), ("execs", None))
    ]
    assert all(130 < len(hosts) < 270 for hosts in chosen)
    assert all(len(one & other) < 40 for one, other in itertools.pairwise(chosen))


def test_the_number_of_a_host_is_the_documented_one() -> None:
    """docs/unattended.md: SHA-256 of the names with a zero byte after each, its first 8 bytes."""
    names = b"0f1e2d3c4b5a6978\0slow-reads\0ring-1\0"
    number = int.from_bytes(hashlib.sha256(names).digest()[:8], "big")
    at = Shard(text="exactly", part=Fraction(number, 1 << 64))
    above = Shard(text="more", part=Fraction(number + 1, 1 << 64))
    assert not is_in(at, "0f1e2d3c4b5a6978", "slow-reads", "ring-1")
    assert is_in(above, "0f1e2d3c4b5a6978", "slow-reads", "ring-1")


def test_names_that_run_together_are_told_apart() -> None:
    shard = read_shard("50%")
    pairs = [(f"plan{n}", f"{n}x") for n in range(64)]
    one = [is_in(shard, HOSTS[0], plan + label, None) for plan, label in pairs]
    other = [is_in(shard, HOSTS[0], plan, label) for plan, label in pairs]
    assert one != other
