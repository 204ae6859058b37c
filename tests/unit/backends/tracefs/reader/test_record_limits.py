"""Rate, cap and sampling to the unit, and the matching of entries and returns."""

import random
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.backends.tracefs.reader.pairs import match_calls
from orchestrator.backends.tracefs.reader.record_limits import Cap, Gcra, RecordLimits, Sampler
from orchestrator.plan.model import Rate

SECOND = 1_000_000_000
times = st.lists(st.integers(0, 40), max_size=300).map(
    lambda gaps: np.cumsum(np.array([SECOND, *gaps], dtype=np.uint64))
)


@given(times, st.integers(1, 200), st.integers(1, 400))
def test_a_rate_is_the_cell_rate_algorithm(
    when: np.ndarray[tuple[int], np.dtype[np.uint64]], count: int, per: int
) -> None:
    """Taken in blocks or one by one, with a state that lives on, the same records go through."""
    gate, plain = Gcra(Rate(count=count, per_ns=per)), Gcra(Rate(count=count, per_ns=per))
    half = len(when) // 2
    mask = np.concatenate((gate.allowed(when[:half]), gate.allowed(when[half:])))
    expected = []
    for now in when.tolist():
        good = plain.due <= now + plain.burst
        expected.append(good)
        if good:
            plain.due = max(plain.due, now) + plain.gap
    assert mask.tolist() == expected


def test_a_long_burst_is_cut_to_the_rate() -> None:
    """100 a second for three seconds flat out: 300, and the burst, 100 unless it is given. One
    record of a burst is due anyway."""
    when = np.arange(SECOND, 4 * SECOND, 10_000, dtype=np.uint64)
    allowed = Gcra(Rate(count=100, per_ns=SECOND)).allowed(when)
    assert int(allowed.sum()) == 300 + 100 - 1
    allowed = Gcra(Rate(count=100, per_ns=SECOND, burst=7)).allowed(when)
    assert int(allowed.sum()) == 300 + 7 - 1


def test_a_burst_is_exact() -> None:
    """Everything at one moment: as many as the burst has, and then none."""
    when = np.full(500, SECOND, dtype=np.uint64)
    for burst in (1, 7, 100, 499):
        rate = Rate(count=100, per_ns=SECOND, burst=burst)
        assert int(Gcra(rate).allowed(when).sum()) == burst


def test_a_rate_that_is_not_reached_refuses_no_record_out_of_order() -> None:
    """A CPU whose records are read later than newer ones of another."""
    gate = Gcra(Rate(count=10**9, per_ns=SECOND))
    ahead = np.arange(5 * SECOND, 7 * SECOND, SECOND // 100, dtype=np.uint64)
    behind = np.arange(4 * SECOND, 5 * SECOND, SECOND // 100_000, dtype=np.uint64)
    assert gate.allowed(ahead).all()
    assert gate.allowed(behind).all()


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=60), st.integers(0, 20))
def test_caps_are_exact_and_everything_is_accounted_for(
    events: list[tuple[int, bool]], most: int
) -> None:
    """A probe's own cap takes nothing from the plan's; what did not go through is counted."""
    free = Rate(count=10**9, per_ns=SECOND)
    bounds = RecordLimits(rate=Gcra(free), cap=Cap(most), rates={}, caps={1: Cap(3)})
    probes = np.array([probe for probe, _ in events], dtype=np.int64)
    when = np.arange(len(events), dtype=np.uint64) * np.uint64(10) + np.uint64(SECOND)
    mask = bounds.admit_records(when, probes)
    expected, own, all_ = [], 0, 0
    for probe in probes:
        good = (probe != 1 or own < 3) and all_ < most
        own += probe == 1 and own < 3
        all_ += good
        expected.append(bool(good))
    assert mask.tolist() == expected
    assert sum(bounds.over_cap.values()) == len(events) - sum(expected)


def test_sampling_is_unbiased_in_short_runs_too() -> None:
    """Over many short runs one of N is kept on the average, first gap included."""
    chance = random.Random(3)  # noqa: S311  # a fixed sequence
    kept = sum(int(Sampler(10, chance).choose_kept(25).sum()) for _ in range(8000))
    assert abs(kept - 20_000) < 700  # five standard deviations of about 130


def test_samples_are_taken_across_batches() -> None:
    """The gap goes on where the last batch ended."""
    whole = Sampler(7, random.Random(5)).choose_kept(500)  # noqa: S311  # a fixed sequence
    sampler = Sampler(7, random.Random(5))  # noqa: S311  # the same one
    parts = np.concatenate([sampler.choose_kept(n) for n in (1, 2, 0, 97, 400)])
    assert whole.tolist() == parts.tolist()


calls = st.lists(st.tuples(st.booleans(), st.integers(1, 3), st.integers(0, 3)), max_size=60)


@given(calls)
def test_a_return_meets_the_last_entry_of_its_frame(events: list[tuple[bool, int, int]]) -> None:
    """Each return takes the entry just before it of the same thread and frame, or none."""
    open_entries: dict[tuple[int, int], int] = {}
    expected: list[tuple[int, int]] = []
    entries: list[tuple[int, int, int]] = []
    returns: list[tuple[int, int, int]] = []
    for order, (is_entry, tid, frame) in enumerate(events):
        if is_entry:
            open_entries[tid, frame] = len(entries)
            entries.append((order, tid, frame))
        else:
            if (tid, frame) in open_entries:
                expected.append((open_entries.pop((tid, frame)), len(returns)))
            returns.append((order, tid, frame))
    e = np.array(entries, dtype=np.int64).reshape(-1, 3).T
    r = np.array(returns, dtype=np.int64).reshape(-1, 3).T
    matched = match_calls((e[1], e[2]), e[0], (r[1], r[2]), r[0])
    pairs = list(zip(matched.entries.tolist(), matched.returns.tolist(), strict=True))
    assert pairs == sorted(expected, key=lambda pair: pair[1])
    assert Counter(matched.open.tolist()) == Counter(open_entries.values())
