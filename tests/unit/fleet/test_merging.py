"""Adding results: exact numbers, whatever the order; what cannot be added is kept apart."""

import json
import os
import random
from collections import Counter
from pathlib import Path

import pytest

from bench.fleet import Planted, write_fleet
from orchestrator.cells.buckets import LOG
from orchestrator.fleet.document import merge_document, merge_from_document, render_document
from orchestrator.fleet.host_result import parse_result
from orchestrator.fleet.merging import Merge
from orchestrator.fleet.reading import InputFile, UnreadFile, list_inputs, read_document
from orchestrator.fleet.run_merge import merge_files
from orchestrator.output.percentiles import percentile
from tests.support.fleet import a_result, merged, only_metric


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Planted]:
    """Sixty hosts, three of them cut off."""
    folder = tmp_path_factory.mktemp("fleet")
    return folder, write_fleet(folder, 60, torn=3)


def rendered(merge: Merge) -> str:
    return "".join(render_document(merge_document(merge)))


def test_totals_are_the_planted_ones_to_the_unit(fleet: tuple[Path, Planted]) -> None:
    """Counts by key, sums, and each bucket; percentiles are those of all events."""
    folder, planted = fleet
    merge = merge_files(list_inputs([str(folder)]))
    document = merge_document(merge)
    [group] = document["groups"]
    metrics = {metric["metric"]: metric for metric in group["metrics"]}
    calls = {cell["key"]["comm"]: cell["value"] for cell in metrics["calls"]["cells"]}
    assert calls == dict(planted.calls)
    [latency] = metrics["latency"]["cells"]
    assert dict(latency["buckets"]) == dict(planted.latency)
    assert latency["count"] == planted.events
    indexes = Counter({LOG.index(edge): count for edge, count in planted.latency.items()})
    assert latency["percentiles"]["p99"] == percentile(indexes, 990)
    [size] = metrics["bytes"]["cells"]
    assert size["value"] == planted.bytes
    assert metrics["latency"]["hosts"] == planted.hosts == 57
    assert metrics["latency"]["incomplete_runs"] == len(planted.incomplete)
    assert {file["path"] for file in document["not_added"]} == planted.torn
    assert {file["reason"] for file in document["not_added"]} == {"torn"}


def test_any_order_gives_the_same_bytes(fleet: tuple[Path, Planted]) -> None:
    files = list_inputs([str(fleet[0])])
    text = rendered(merge_files(files))
    for seed in range(3):
        shuffled = random.Random(seed).sample(files, len(files))  # noqa: S311  # repeatable
        assert rendered(merge_files(shuffled)) == text


def test_a_merge_of_merges_is_the_merge(fleet: tuple[Path, Planted], tmp_path: Path) -> None:
    """Also of three, one of which is a merge of merges, in any order."""
    files = list_inputs([str(fleet[0])])
    parts = [files[:7], files[7:30], files[30:]]
    for number, part in enumerate(parts):
        (tmp_path / f"{number}.json").write_text(rendered(merge_files(part)))
    two = merge_files(list_inputs([str(tmp_path / "0.json"), str(tmp_path / "2.json")]))
    (tmp_path / "two.json").write_text(rendered(two))
    for names in (("0", "1", "2"), ("two", "1"), ("1", "two")):
        merge = merge_files(list_inputs([str(tmp_path / f"{name}.json") for name in names]))
        assert rendered(merge) == rendered(merge_files(files))


def test_what_is_said_of_a_merge_survives_another(tmp_path: Path) -> None:
    """Estimates, runs whose cells were cut, expected hosts, duplicates and files not added."""
    for number in (1, 2):
        result = a_result(number, complete=False, incomplete_because=["lost"])
        for metric in result["metrics"]:
            metric |= {"estimated": True, "cells_omitted": 1}
        merge = Merge(expected={f"host{number:02}", f"missing{number}"})
        merge.add_result(parse_result(result), "a.json")
        merge.add_result(parse_result(result), f"{number}.json")
        merge.refuse(f"torn{number}.json", UnreadFile("torn", "it ends"))
        (tmp_path / f"{number}.json").write_text(rendered(merge))
    document = merge_document(merge_files(list_inputs([str(tmp_path)])))
    assert document["missing"] == ["missing1", "missing2"]
    assert [file["path"] for file in document["duplicates"]] == ["1.json", "2.json"]
    assert [file["path"] for file in document["not_added"]] == ["torn1.json", "torn2.json"]
    for metric in document["groups"][0]["metrics"]:
        counts = ("runs", "estimated_runs", "cut_runs", "incomplete_runs")
        assert [metric[name] for name in counts] == [2, 2, 2, 2]


def test_a_run_counts_once(tmp_path: Path) -> None:
    """Copies of a result are counted and listed once, and so is a merge that has it already."""
    single = only_metric(merged([a_result(metric="bytes")]))
    twice = merged([a_result(metric="bytes"), a_result(metric="bytes")])
    assert only_metric(twice)["cells"] == single["cells"]
    assert twice["duplicates"] == [{"path": "1.json", "run_id": f"{1:014x}"}]
    merge = Merge()
    merge.add_result(parse_result(a_result(1)), "one")
    text = rendered(merge)
    (tmp_path / "merged.json").write_text(text)
    (tmp_path / "result.json").write_text(json.dumps(a_result(1)))
    again = merge_files(list_inputs([str(tmp_path)]))
    assert json.loads(rendered(again))["groups"] == json.loads(text)["groups"]


def test_merges_that_share_some_runs_are_not_added() -> None:
    """What is added up cannot be taken apart."""

    def merge_of(*numbers: int) -> Merge:
        made = Merge()
        for number in numbers:
            made.add_result(parse_result(a_result(number)), "")
        return merge_from_document(json.loads(rendered(made)))

    merge = merge_of(1, 2)
    with pytest.raises(Exception, match="1 of its 2 runs are counted already"):
        merge.absorb(merge_of(2, 3), "other.json")
    assert rendered(merge) == rendered(merge_of(1, 2))


def test_runs_with_other_settings_or_another_plan_are_other_groups() -> None:
    other = a_result(2)
    other["settings"]["params"]["least"] = 4096
    sorted_otherwise = a_result(4)
    sorted_otherwise["settings"] = dict(reversed(sorted_otherwise["settings"].items()))
    document = merged([a_result(1), other, a_result(3, plan_sha256="0" * 64), sorted_otherwise])
    assert [group["runs"] for group in document["groups"]] == [1, 2, 1]


def test_histograms_of_another_layout_or_unit_are_never_added() -> None:
    linear, bytes_ = a_result(2, metric="sizes"), a_result(3, metric="sizes")
    linear["metrics"][0] |= {"layout": "linear(0, 8192, 1024)", "cells": []}
    bytes_["metrics"][0]["unit"] = "bytes"
    [group] = merged([a_result(1, metric="sizes"), linear, bytes_])["groups"]
    assert [metric["runs"] for metric in group["metrics"]] == [1, 1, 1]


def test_extremes_and_averages_are_those_of_all_events() -> None:
    first, second = a_result(1), a_result(2, backend="tracefs")
    for value, result in ((7, first), (3, second)):
        [least] = [metric for metric in result["metrics"] if metric["metric"] == "least"]
        least["cells"][0]["value"] = value
    metrics = {
        metric["metric"]: metric for metric in merged([first, second])["groups"][0]["metrics"]
    }
    parts = [{m["metric"]: m["cells"][0] for m in one["metrics"]} for one in (first, second)]
    [largest], [least] = metrics["largest"]["cells"], metrics["least"]["cells"]
    assert largest["value"] == max(part["largest"]["value"] for part in parts)
    assert least["value"] == min(part["least"]["value"] for part in parts)
    total = sum(part["mean"]["sum"] for part in parts)
    [mean] = metrics["mean"]["cells"]
    assert mean["value"] == total / sum(part["mean"]["count"] for part in parts)


def test_a_sum_beyond_64_bits_is_kept_whole_and_one_that_was_cut_is_marked() -> None:
    def with_sum(number: int, **fields: object) -> dict:
        result = a_result(number, metric="bytes")
        result["metrics"][0]["cells"] = [{"key": {}, "other": False, "count": 1, **fields}]
        return result

    [cell] = only_metric(merged(with_sum(n, value=(1 << 64) - 1) for n in range(1, 4)))["cells"]
    assert cell["value"] == (1 << 64) - 1
    assert (cell["saturated"], cell["exact"]) == (True, str(3 * ((1 << 64) - 1)))
    assert "inexact" not in cell
    cut = with_sum(9, value=(1 << 64) - 1, saturated=True)
    [cell] = only_metric(merged([cut, with_sum(1, value=5)]))["cells"]
    assert cell["inexact"] is True


def test_the_cell_other_is_one_and_last() -> None:
    results = [a_result(n, metric="calls") for n in (1, 2)]
    for result in results:
        result["metrics"][0]["cells"].append({"key": {}, "other": True, "value": 10**9})
    last = only_metric(merged(results))["cells"][-1]
    assert (last["key"], last["other"], last["value"]) == ({}, True, 2 * 10**9)


def test_stacks_are_keys() -> None:
    result = a_result(metric="calls")
    cell = {"key": {"ustack": ["read+0x1", "main"], "comm": "a"}, "other": False, "value": 3}
    result["metrics"][0]["cells"] = [cell]
    again = json.loads(json.dumps(result)) | {"host_id": "unknown"}
    again["run"]["run_id"] = "other"
    [found] = only_metric(merged([result, again]))["cells"]
    assert found["key"] == {"comm": "a", "ustack": ["read+0x1", "main"]}
    assert found["value"] == 6


def test_kernels_and_mechanisms_are_apart() -> None:
    """A difference between kernels is not taken for one between hosts."""
    metric = only_metric(
        merged(
            [
                a_result(1, metric="latency"),
                a_result(2, metric="latency"),
                a_result(3, backend="tracefs", metric="latency"),
            ]
        )
    )
    rows = {(row["kernel"], row["mechanisms"]): row for row in metric["by_kernel"]}
    both = rows["6.12.40-amd64", "perf tracepoint"]
    assert (both["hosts"], both["count"]) == (2, 2 * 6474)
    assert rows["6.1.0-28-amd64", "tracepoint"]["count"] == 6269
    assert both["per_second_and_cpu"] == both["count"] / (both["cpu_ns"] / 1e9)


def test_many_files_are_merged_in_shares_with_the_same_bytes(
    fleet: tuple[Path, Planted], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes; one where a run is in both shares, and where one of them is killed."""
    from orchestrator.fleet import run_merge

    files = list_inputs([str(fleet[0])])
    monkeypatch.setattr(run_merge, "_FEWEST_FILES", 10)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})
    assert rendered(run_merge.merge_shares(files)) == rendered(merge_files(files))
    with monkeypatch.context() as patch:
        ours = os.getpid()
        patch.setattr(
            run_merge,
            "read_document",
            lambda file: read_document(file) if os.getpid() == ours else os._exit(9),
        )
        assert rendered(run_merge.merge_shares(files)) == rendered(merge_files(files))
    doubled = [*files, InputFile(path=files[0].path, is_merge=False)]
    assert rendered(run_merge.merge_shares(doubled)) == rendered(merge_files(doubled))
