"""Parquet tables of results, and the questions of examples/fleet.sql."""

import errno
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import pytest

from bench.fleet import Planted, write_fleet
from orchestrator.cli import main
from orchestrator.fleet.host_result import parse_result
from orchestrator.fleet.tables import ResultTables
from tests.support.fleet import a_result, write_results
from tests.support.paths import ROOT

SQL = (ROOT / "examples" / "fleet.sql").read_text()
#: By number.
QUESTIONS = dict(re.findall(r"^-- (\d)\. .*?\n(.*?;)$", SQL, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Planted]:
    """The tables of forty hosts, one of whose files is cut off."""
    folder = tmp_path_factory.mktemp("fleet")
    planted = write_fleet(folder / "results", 40, torn=1)
    words = ["merge", str(folder / "results"), "--format", "parquet", "-o", str(folder / "tables")]
    assert main([*words, "--allow-torn"]) == 0
    return folder / "tables", planted


def ask(number: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    monkeypatch.chdir(folder)
    answer = duckdb.sql(QUESTIONS[str(number)])
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()]


def test_only_tables_are_left_in_the_directory(tables: tuple[Path, Planted]) -> None:
    names = {path.name for path in tables[0].iterdir()}
    assert names == {"runs.parquet", "cells.parquet", "buckets.parquet"}
    assert list(QUESTIONS) == ["1", "2", "3", "4", "5"]


def test_counts_by_key_are_the_planted_ones(
    tables: tuple[Path, Planted], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, planted = tables
    found = ask(1, folder, monkeypatch)
    counts = {row["key"]: row["events"] for row in found if row["metric"] == "calls"}
    assert counts == {f'{{"comm": "{name}"}}': count for name, count in planted.calls.items()}
    assert {row["hosts"] for row in found if "python" in row["key"]} == {planted.hosts}


def test_percentiles_by_kernel_are_those_of_merge(
    tables: tuple[Path, Planted], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder, _ = tables
    words = ["merge", str(folder.parent / "results"), "-o", str(tmp_path), "--allow-torn"]
    assert main(words) == 0
    [group] = json.loads((tmp_path / "merged.json").read_text())["groups"]
    [latency] = [metric for metric in group["metrics"] if metric["metric"] == "latency"]
    wanted = {
        (row["kernel"], row["mechanisms"]): (
            row["count"],
            row["percentiles"]["p50"],
            row["percentiles"]["p99"],
        )
        for row in latency["by_kernel"]
    }
    rows = [row for row in ask(2, folder, monkeypatch) if row["metric"] == "latency"]
    found = {
        (row["kernel"], row["mechanisms"]): (row["events"], row["p50"], row["p99"]) for row in rows
    }
    assert found == wanted
    rates = {
        row["kernel"]: row["per_second_and_cpu"]
        for row in ask(5, folder, monkeypatch)
        if row["metric"] == "latency"
    }
    assert rates.keys() == {kernel for kernel, _ in wanted}
    for kernel, rate in rates.items():
        parts = [row for row in latency["by_kernel"] if row["kernel"] == kernel]
        events, cpu_ns = (sum(row[name] for row in parts) for name in ("count", "cpu_ns"))
        assert rate == pytest.approx(events / (cpu_ns / 1e9))


def test_the_slowest_hosts_are_the_planted_outliers(
    tables: tuple[Path, Planted], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, planted = tables
    rows = [row for row in ask(3, folder, monkeypatch) if row["metric"] == "latency"]
    first = rows[: len(planted.outliers)]
    assert {row["host"] for row in first} == planted.outliers
    assert all(row["times"] > 4 for row in first)


def test_metrics_of_one_name_in_two_probes_are_not_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = a_result(1, metric="latency")
    [metric] = result["metrics"]
    result["metrics"].append({**metric, "probe": "write"})
    result["mechanisms"]["write"] = ["another"]
    with ResultTables(tmp_path) as tables:
        tables.add(parse_result(result))
    for number in (2, 3, 5):
        rows = ask(number, tmp_path, monkeypatch)
        assert sorted(row["probe"] for row in rows) == sorted([metric["probe"], "write"])


def test_runs_that_are_not_complete_are_counted_by_reason(
    tables: tuple[Path, Planted], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, planted = tables
    assert sum(row["hosts"] for row in ask(4, folder, monkeypatch)) == len(planted.incomplete)


def test_sums_of_64_bits_and_what_is_not_known_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = a_result(1, metric="bytes", complete="unknown")
    result["metrics"][0]["cells"][0]["value"] = (1 << 64) - 1
    result["clock"] |= {"synchronised": "unknown", "error_ns": "unknown"}
    with ResultTables(tmp_path) as tables:
        tables.add(parse_result(result))
    monkeypatch.chdir(tmp_path)
    assert duckdb.sql("SELECT sum FROM 'cells.parquet'").fetchall() == [((1 << 64) - 1,)]
    wanted = "complete, clock_synchronised, clock_error_ns, epoch_ns(start)"
    row = (None, None, None, parse_result(result).run.start_ns)
    assert duckdb.sql("FROM 'runs.parquet'").select(wanted).fetchall() == [row]


def test_a_failure_leaves_earlier_tables_as_they_were(tmp_path: Path) -> None:
    with ResultTables(tmp_path) as tables:
        tables.add(parse_result(a_result(1)))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with suppress(KeyError), ResultTables(tmp_path) as tables:
        tables.add(parse_result(a_result(2)))
        raise KeyError
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_full_disk_leaves_earlier_tables_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is noticed when the last table is synchronised."""
    with ResultTables(tmp_path) as tables:
        tables.add(parse_result(a_result(1)))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    left = iter([None, None])

    def synchronise(_file: int) -> None:
        if next(left, "full") == "full":
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", synchronise)
    with pytest.raises(OSError, match="No space left"), ResultTables(tmp_path) as tables:
        tables.add(parse_result(a_result(2)))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_numbers_of_a_damaged_result_that_fit_no_column_are_null(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All others are kept, its own too."""
    damaged = a_result(
        2, metric="bytes", duration_ns=1 << 63, armed_at="9999-11-27T14:30:00.000000000Z"
    )
    damaged["clock"]["error_ns"] = 1 << 63
    damaged["metrics"][0]["cells"][0] |= {"count": (1 << 64) - 1, "exact": "9" * 50}
    with ResultTables(tmp_path) as tables:
        for result in (a_result(1, metric="bytes"), damaged):
            tables.add(parse_result(result))
    monkeypatch.chdir(tmp_path)
    whole = parse_result(a_result(1)).run
    wanted = "duration_ns, clock_error_ns, epoch_ns(start), exit_code"
    assert duckdb.sql("FROM 'runs.parquet'").select(wanted).fetchall() == [
        (whole.duration_ns, whole.error_ns, whole.start_ns, 0),
        (None, None, None, 0),
    ]
    first, second = duckdb.sql("SELECT events, sum, below FROM 'cells.parquet'").fetchall()
    assert None not in first
    assert second == ((1 << 64) - 1, None, 0)


def test_a_link_with_the_name_of_a_table_is_not_followed(tmp_path: Path) -> None:
    """Neither of what is written meanwhile nor of the table."""
    (tmp_path / "tables").mkdir()
    (tmp_path / "mine").write_text("mine")
    for name in (".runs.parquet.partial", "runs.parquet"):
        (tmp_path / "tables" / name).symlink_to(tmp_path / "mine")
    with ResultTables(tmp_path / "tables") as tables:
        tables.add(parse_result(a_result(1)))
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "tables" / "runs.parquet").is_symlink()


def test_merges_and_a_missing_library_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What to install is said, and nothing is written."""
    results = write_results(tmp_path / "results", [a_result(1)])
    assert main(["merge", str(results), "-o", str(tmp_path / "merged")]) == 0
    words = ["--format", "parquet", "-o", str(tmp_path / "tables")]
    assert main(["merge", str(tmp_path / "merged"), *words]) == 2
    assert "is a merge, which has no runs for tables" in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert main(["merge", str(results), *words]) == 3
    assert "pip install 'probeplan[fleet]'" in capsys.readouterr().err
    assert list((tmp_path / "tables").iterdir()) == []
