"""What is recorded, and what `--update new` and `all` change."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from orchestrator.check.baseline.model import MAX_CELLS, Baseline, EntryKey, series_of_kernel
from orchestrator.check.baseline.update import record_entry, update_baseline
from orchestrator.check.measurement import MeasuredCell, Measurement
from tests.support.checks import good_check
from tests.support.measurements import HERE, cell, measured, other, repeat

CHECK = good_check("write.calls <= 1")
FIRST, SECOND = "2026-01-01T00:00:00Z", "2026-02-02T00:00:00Z"


def measure(value: int, **changes: str) -> Measurement:
    good = measured(CHECK, repeat({"write.calls": value}, CHECK))
    return replace(good, environment=replace(HERE, **changes))


def kernel_side(measurement: Measurement) -> Measurement:
    probes = {name: replace(p, place="kernel-side") for name, p in measurement.probes.items()}
    return replace(measurement, probes=probes)


def without(measurement: Measurement, owner: str) -> Measurement:
    """The measurement of a plan that does not have this probe yet."""
    metrics = {name: own for name, own in measurement.metrics.items() if name != owner}
    probes = {name: probe for name, probe in measurement.probes.items() if name != owner}
    return replace(measurement, metrics=metrics, probes=probes)


def value_of(entry: object) -> int:
    return entry.metrics["write.calls"].repeats[0].cells[0].count  # type: ignore[attr-defined]


def test_the_first_record_has_all_that_was_measured() -> None:
    baseline = update_baseline(None, "x", measure(3), FIRST, "new")
    (entry,) = baseline.entries
    assert (baseline.check, entry.key, entry.recorded) == ("x", EntryKey(arch="x86_64"), FIRST)
    assert value_of(entry) == 3
    assert len(entry.metrics) == sum(map(len, measure(3).metrics.values()))
    assert entry.maxrss == ((1, 4096),)
    assert entry.probes["write"].alternative == "syscall:write"


def test_kernel_side_probes_are_recorded_for_their_series() -> None:
    (entry,) = update_baseline(None, "x", kernel_side(measure(3)), FIRST, "new").entries
    assert entry.key == EntryKey(arch="x86_64", series="6.12")
    assert series_of_kernel("7.1.3") == "7.1"
    assert series_of_kernel("6.1-rc2-next") == "6.1"


def test_new_leaves_what_is_there_as_it_is() -> None:
    before = update_baseline(None, "x", measure(3), FIRST, "new")
    assert update_baseline(before, "x", measure(4), SECOND, "new") is before


def test_new_adds_the_metrics_that_are_missing() -> None:
    before = update_baseline(None, "x", without(measure(3), "write"), FIRST, "new")
    (entry,) = update_baseline(before, "x", measure(4), SECOND, "new").entries
    assert value_of(entry) == 4
    assert "write" in entry.probes
    assert entry.recorded == FIRST
    assert entry.metrics["call.calls"] is before.entries[0].metrics["call.calls"]


def test_all_replaces_the_entry_and_drops_what_is_no_longer_measured() -> None:
    before = update_baseline(None, "x", measure(3), FIRST, "new")
    (entry,) = update_baseline(before, "x", without(measure(4), "call"), SECOND, "all").entries
    assert (value_of(entry), entry.recorded) == (4, SECOND)
    assert not any(name.startswith("call.") for name in entry.metrics)


def test_entries_of_other_machines_stay() -> None:
    before = update_baseline(None, "x", kernel_side(measure(3)), FIRST, "new")
    for mode in ("new", "all"):
        there = kernel_side(measure(4, kernel="6.1.0-50-amd64"))
        after = update_baseline(before, "x", there, SECOND, mode)  # type: ignore[arg-type]
        assert [entry.key.series for entry in after.entries] == ["6.12", "6.1"]
        assert list(map(value_of, after.entries)) == [3, 4]


def test_a_thousand_cells_are_kept_and_the_sum_of_the_others() -> None:
    cells = [cell(n, number=n) for n in range(1, MAX_CELLS + 4)]
    run = repeat({"call.calls": [*cells, other(50)]}, CHECK)
    kept = record_entry(measured(CHECK, run), FIRST).metrics["call.calls"].repeats[0].cells
    assert len(kept) == MAX_CELLS + 1
    assert sum(one.count for one in kept) == sum(range(MAX_CELLS + 4)) + 50
    assert kept[-1].key is None
    assert kept[-1].count == 1 + 2 + 3 + 50
    assert all(one.count > 3 for one in kept[:-1])


def test_cells_are_kept_in_order_of_their_keys() -> None:
    cells = [cell(1, comm="b"), cell(9, comm="a"), cell(5, comm="c")]
    for order in (cells, cells[::-1]):
        entry = record_entry(measured(CHECK, repeat({"call.calls": order}, CHECK)), FIRST)
        kept = entry.metrics["call.calls"].repeats[0].cells
        assert [one.key for one in kept] == [{"comm": "a"}, {"comm": "b"}, {"comm": "c"}]


def test_cells_that_are_cut_off_keep_every_number() -> None:
    many = [cell(100 + n, number=n) for n in range(MAX_CELLS)]
    cut = [
        MeasuredCell(
            key={"number": -n}, value=1, count=1, sum=n, min=n, max=n, buckets={n: 1}, below=n
        )
        for n in (1, 2)
    ]
    run = repeat({"call.calls": [*many, *cut]}, CHECK)
    rest = record_entry(measured(CHECK, run), FIRST).metrics["call.calls"].repeats[0].cells[-1]
    assert (rest.count, rest.sum, rest.min, rest.max) == (2, 3, 1, 2)
    assert (rest.buckets, rest.below) == ({1: 1, 2: 1}, 3)


def test_the_entry_to_compare_with_is_the_keys_own_or_for_any_kernel_the_latest() -> None:
    base = update_baseline(None, "x", kernel_side(measure(3)), SECOND, "new")
    base = update_baseline(base, "x", kernel_side(measure(4, kernel="6.1.0")), FIRST, "new")
    own, other_series = EntryKey(arch="x86_64", series="6.1"), EntryKey(arch="x86_64")
    assert base.find_entry(own, kernel_side=True) is base.entries[1]
    assert base.find_entry(own, kernel_side=False) is base.entries[1]
    assert base.find_entry(other_series, kernel_side=True) is None
    assert base.find_entry(other_series, kernel_side=False) is base.entries[0]
    foreign = EntryKey(arch="aarch64", series="6.12")
    assert base.find_entry(foreign, kernel_side=False) is None
    base = update_baseline(base, "x", measure(5, arch="aarch64"), FIRST, "new")
    nearest = base.find_nearest(EntryKey(arch="x86_64", series="6.6"))
    assert nearest is not None
    assert nearest.key.arch == "x86_64"


@pytest.mark.parametrize(
    ("recorded", "here", "nearest"),
    [
        (("5.10", "6.12", "7.3"), "6.1", "6.12"),
        (("5.10", "6.12", "6.9"), "6.10", "6.9"),
        (("6.2", "6.12"), "6.7", "6.12"),
        (("", "5.10"), "6.1", "5.10"),
        (("",), "6.1", ""),
    ],
)
def test_the_nearest_entry_is_the_fewest_versions_away(
    recorded: Sequence[str], here: str, nearest: str
) -> None:
    """By the numbers of the series, not by their text; the newer of two."""
    [entry] = update_baseline(None, "x", measure(3), FIRST, "new").entries
    entries = [replace(entry, key=EntryKey(arch="x86_64", series=one)) for one in recorded]
    stranger = replace(entry, key=EntryKey(arch="aarch64", series=here))
    found = Baseline(check="x", entries=(*entries, stranger)).find_nearest(
        EntryKey(arch="x86_64", series=here)
    )
    assert found is not None
    assert (found.key.arch, found.key.series) == ("x86_64", nearest)


def test_one_kernel_side_probe_makes_the_key_one_of_its_series() -> None:
    good = measure(3)
    probes = {**good.probes, "call": replace(good.probes["call"], place="kernel-side")}
    (entry,) = update_baseline(None, "x", replace(good, probes=probes), FIRST, "new").entries
    assert entry.key.series == "6.12"
