"""What became of runs: each record of a run's life is in a family."""

import math
from typing import Any

import pytest

from orchestrator.export.series import SeriesStore
from tests.support.export_records import metric_record, number_cell, record_of

SIDE = {"fired": 5, "kernel_missed": 0}


def values(store: SeriesStore, name: str, *names: str) -> dict[Any, Any]:
    """Values by those of these labels; one name: by its value alone."""
    [family] = [one for one in store.snapshot().families if one.name == f"probeplan_{name}"]
    found = {}
    for sample in family.samples:
        key = tuple(dict(sample.labels)[label] for label in names)
        found[key if len(names) != 1 else key[0]] = sample.value
    return found


def store_of(*records: dict[str, Any]) -> SeriesStore:
    store = SeriesStore()
    for record in records:
        store.accept(record)
    assert values(store, "export_lines_skipped", "reason")["foreign"] == 0
    return store


def ledger_of(*missed: int | str) -> dict[str, Any]:
    """Of a probe with a pair of sides, and one with a single side."""
    enter, leave, hit = ({**SIDE, "kernel_missed": count} for count in missed)
    pair = {"to": "function:f", "mechanism": "fexit", "sides": {"entry": enter, "return": leave}}
    single = {"to": "tracepoint:t", "mechanism": "perf tracepoint", "sides": {"hit": hit}}
    return {
        "probes": {
            "pair": {"hooks": [pair], "emit": None, "metrics": {}},
            "single": {"hooks": [single], "emit": None, "metrics": {}},
        }
    }


def attached(probe: str) -> dict[str, Any]:
    return record_of("probe.attached", probe=probe, to=f"function:{probe}")


def finished(**fields: Any) -> dict[str, Any]:
    usual = {"complete": True, "lost": 0, "held_back": [], "ledger": ledger_of(0, 0, 0)}
    return record_of("run.finished", **{**usual, **fields})


def test_what_may_happen_is_zero_before_it_does() -> None:
    store = store_of(record_of("run.started"))
    assert values(store, "runs", "outcome") == {"skipped": 0, "quarantined": 0, "refused": 0}
    assert values(store, "run_governor_steps", "action") == {"sample": 0, "detach": 0, "stop": 0}
    assert values(store, "run_lost", "reason") == {
        "ring": 0, "output": 0, "missed": 0, "map": 0, "unreported": 0,
    }  # fmt: skip
    assert values(store, "run_active") == {(): 1}


def test_losses_are_counted_by_reason_and_the_rest_at_the_end() -> None:
    lost = [
        record_of("events.lost", probe="read", lost=count, reason=reason)
        for count, reason in ((3, "ring"), (4, "ring"), (2, "missed"), ("unknown", "map"))
    ]
    store = store_of(record_of("run.started"), *lost, finished(lost=10))
    assert values(store, "run_lost", "reason") == {
        "ring": 7, "output": 0, "missed": 2, "map": 0, "unreported": 1,
    }  # fmt: skip


def test_of_a_run_that_was_joined_the_rest_is_not_known() -> None:
    lost = record_of("events.lost", probe="read", lost=3, reason="ring")
    store = store_of(lost, finished(lost=10))
    assert values(store, "run_lost", "reason")["unreported"] == 0


@pytest.mark.parametrize(("complete", "value"), [(True, 1), (False, 0), ("unknown", math.nan)])
def test_complete_is_one_zero_or_unknown(complete: bool | str, value: float) -> None:
    store = store_of(finished(complete=complete, lost="unknown"))
    assert values(store, "run_complete")[()] == pytest.approx(value, nan_ok=True)
    assert values(store, "run_lost_unknown") == {(): 1}


def test_what_the_kernel_missed_is_added_by_attach_point() -> None:
    """An unknown number is not there, which is not zero."""
    runs = [finished(ledger=ledger_of(1, 2, 5)), finished(ledger=ledger_of(0, "unknown", 1))]
    store = store_of(*runs)
    assert values(store, "probe_kernel_missed", "probe", "to") == {
        ("pair", "function:f"): 3, ("single", "tracepoint:t"): 6,
    }  # fmt: skip
    store = store_of(finished(ledger=ledger_of(1, 2, "unknown")))
    assert values(store, "probe_kernel_missed", "probe") == {"pair": 3}


def test_the_governor_detaches_a_probe() -> None:
    step = {"cost": 0.1, "budget": 0.02}
    store = store_of(
        record_of("run.started"),
        attached("read"),
        attached("write"),
        record_of("probe.skipped", probe="write", to="kprobe:x"),
        record_of("governor.stepped", action="sample", probe="read", **step),
        record_of("governor.stepped", action="detach", probe="read", **step),
    )
    assert values(store, "run_governor_steps", "action") == {"sample": 1, "detach": 1, "stop": 0}
    assert values(store, "probe_attached", "probe", "to") == {
        ("read", "function:read"): 0, ("write", "function:write"): 1, ("write", "kprobe:x"): 0,
    }  # fmt: skip


def test_the_next_run_begins_with_its_own_attach_points() -> None:
    store = store_of(
        record_of("run.started", version="0.1.0"),
        attached("read"),
        finished(),
        record_of("run.started", run_id="b", version="0.2.0"),
        {**attached("open"), "run_id": "b"},
    )
    assert values(store, "probe_attached", "probe") == {"open": 1}
    assert values(store, "run_info", "version") == {"0.2.0": 1}
    assert values(store, "run_active") == {(): 1}


def test_runs_that_were_not_made_are_counted_and_say_nothing_of_what_was_seen() -> None:
    store = store_of(
        finished(outcome="duration", exit_code=0),
        record_of("run.skipped", run_id="b"),
        record_of("run.refused", run_id="c"),
        record_of("run.refused", run_id="d", outcome="refused"),
    )
    assert values(store, "runs", "outcome") == {
        "duration": 1, "skipped": 1, "quarantined": 1, "refused": 1,
    }  # fmt: skip
    assert values(store, "run_exit_code") == {(): 3}
    assert values(store, "run_complete") == {(): 1}


def test_what_limits_held_back_and_warnings() -> None:
    held = [{"limit": "rate", "probe": None, "bound": "1k/s", "records": 397}]
    warned = record_of("metric.warned", probe=None, metric="share")
    store = store_of(record_of("run.started"), warned, warned, finished(held_back=held))
    assert values(store, "run_held_back", "limit") == {"rate": 397}
    assert values(store, "run_warnings", "probe", "metric") == {("", "share"): 2}


def test_a_killed_run_is_forgotten_in_time() -> None:
    """It has no end, and its windows would be kept forever."""
    store = SeriesStore()
    for number in range(200):
        store.accept(record_of("run.started", run_id=f"r{number}"))
        store.accept(metric_record([number_cell(1)], run_id=f"r{number}"))
    assert len(store._live) == 64
    [metric] = store._metrics.values()
    assert len(metric._windows_of_run) == 64
    assert values(store, "calls") == {(): 200}
