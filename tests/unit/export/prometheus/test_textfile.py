"""Files for node_exporter: whole, readable for all, and with no series twice."""

import os
import threading
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from orchestrator.export.prometheus.exposition import render_text
from orchestrator.export.prometheus.textfile import TextfileDestination, split_by_plan
from orchestrator.export.series import SeriesStore
from tests.support.export_records import histogram_cell, metric_record, number_cell, run_of


def store_of_two_plans() -> SeriesStore:
    store = SeriesStore()
    for plan in ("b", "a"):
        for record in run_of("r" + plan, metric_record([number_cell(7, {"comm": 'x"\\\ny'})])):
            store.accept({**record, "plan": plan})
    return store


def raise_error(error: OSError) -> None:
    raise error


def read_series(text: str) -> Counter[tuple[str, tuple[tuple[str, str], ...]]]:
    return Counter(
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    )


def test_each_plan_has_a_file_and_each_series_is_in_one(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        destination = TextfileDestination(tmp_path, 4, raise_error)
        destination.publish(store_of_two_plans().snapshot())
        destination.close()
    finally:
        os.umask(before)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "probeplan-a.prom", "probeplan-b.prom",
    ]  # fmt: skip
    texts = [path.read_text() for path in sorted(tmp_path.iterdir())]
    together = sum(map(read_series, texts), Counter())
    assert set(together.values()) == {1}
    assert all(dict(labels)["plan"] in "ab" for _, labels in together)
    assert {oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()} == {"0o644"}
    key = (("comm", 'x"\\\ny'), ("plan", "b"), ("probe", "read"))
    assert ("probeplan_calls_total", key) in read_series(texts[1])
    assert all(len(line.rsplit("} ", 1)[1].split()) == 1 for line in texts[0].splitlines()
               if not line.startswith("#"))  # fmt: skip  # no timestamps


def test_series_without_a_plan_are_those_of_the_first_one() -> None:
    parts = dict(split_by_plan(store_of_two_plans().snapshot()))
    names = {plan: {one.name for one in part.families} for plan, part in parts.items()}
    assert "probeplan_export_records" in names["a"]
    assert "probeplan_export_records" not in names["b"]


def test_the_latest_of_several_snapshots_is_written(tmp_path: Path) -> None:
    store = SeriesStore()
    destination = TextfileDestination(tmp_path, 4, raise_error)
    for _ in range(50):
        store.accept(metric_record([number_cell(1)]))
        destination.publish(store.snapshot())
    destination.close()
    assert (
        'probeplan_calls_total{plan="p",probe="read"} 50.0'
        in (tmp_path / "probeplan-p.prom").read_text()
    )


def test_a_link_of_that_name_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "probeplan-p.prom").symlink_to(victim)
    store = SeriesStore()
    store.accept(metric_record([number_cell(1)]))
    destination = TextfileDestination(tmp_path, 4, raise_error)
    destination.publish(store.snapshot())
    destination.close()
    assert victim.read_text() == "mine"
    assert not (tmp_path / "probeplan-p.prom").is_symlink()


def test_a_failure_is_reported_once_and_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    found: list[OSError] = []
    reported = threading.Event()

    def note(error: OSError) -> None:
        found.append(error)
        reported.set()

    store = SeriesStore()
    store.accept(metric_record([number_cell(1)]))
    destination = TextfileDestination(folder, 4, note)
    folder.rmdir()
    destination.publish(store.snapshot())
    assert reported.wait(10)
    destination.publish(store.snapshot())
    with pytest.raises(FileNotFoundError) as raised:
        destination.close()
    assert raised.value.filename == str(folder)
    assert len(found) == 1


def test_values_are_in_base_units_and_unknown_is_nan() -> None:
    store = SeriesStore()
    for record in run_of(
        "a",
        metric_record(
            [histogram_cell([[1087, 2], [2175, 1]])],
            metric="wait", kind="histogram", unit="ns", layout="log(16)",
        ),
    ):  # fmt: skip
        store.accept({**record, "complete": "unknown"} if "complete" in record else record)
    lines = render_text(store.snapshot(), 1).decode().splitlines()
    ours = [line for line in lines if "_wait" in line or "run_complete{" in line]
    place = 'plan="p",probe="read"'
    assert ours == [
        'probeplan_run_complete{plan="p"} NaN',
        "# HELP probeplan_wait_seconds Metric wait of plans: values.",
        "# TYPE probeplan_wait_seconds histogram",
        f'probeplan_wait_seconds_bucket{{le="1.023e-06",{place}}} 0.0',
        f'probeplan_wait_seconds_bucket{{le="2.047e-06",{place}}} 2.0',
        f'probeplan_wait_seconds_bucket{{le="4.095e-06",{place}}} 3.0',
        f'probeplan_wait_seconds_bucket{{le="+Inf",{place}}} 3.0',
        f"probeplan_wait_seconds_count{{{place}}} 3.0",
        f"probeplan_wait_seconds_sum{{{place}}} {(1055.5 * 2 + 2111.5) / 1e9}",
    ]
