"""The benchmarks: arithmetic, command line, and one end to end. Counts, never speeds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.figures import Figure, Target
from bench.report import as_json, missed, table
from bench.setting import PLANS, ROOT
from bench.table import TABLE
from bench.tools import events_in
from orchestrator.plan.load import load_plan
from tests.support.requirements import needs_a_kernel

HALF = Target(at="most", bound=0.5)


def figure(
    ours: list[float], theirs: list[float] | None = None, target: Target | None = None
) -> Figure:
    """One with these samples."""
    return Figure(
        name="a figure", unit="ns", ours=ours, peer="peer", theirs=theirs or [], target=target
    )


def bench(*words: str) -> "subprocess.CompletedProcess[str]":
    """`python -m bench`."""
    argv = [sys.executable, "-m", "bench", *words]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def run_benchmark(name: str, folder: Path) -> dict[str, float]:
    """The figures of one small round by their names."""
    file = folder / "figures.json"
    done = bench(name, "--rounds", "1", "--scale", "0.01", "--json", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(file.read_text())["benchmarks"][name]["figures"]
    return {one["name"]: one["ours"] for one in figures}


def test_a_figure_is_the_median_of_its_samples_and_the_ratio_that_of_the_medians() -> None:
    one = figure([1, 9, 2], [8, 100, 4])
    assert (one.value, one.peers_value, one.ratio) == (2, 8, 0.25)


@pytest.mark.parametrize(
    ("ours", "theirs", "target", "verdict"),
    [
        ([5], [10], HALF, "pass"),
        ([6], [10], HALF, "miss"),
        ([12], [1], Target(at="least", bound=12), "pass"),
        ([11.9], [1], Target(at="least", bound=12), "miss"),
        ([0], None, Target(at="most", bound=0), "pass"),
        ([1], None, Target(at="most", bound=0), "miss"),
        ([1], [0], HALF, "none"),
        ([1], [10], None, "untargeted"),
    ],
)
def test_the_ratio_is_judged_or_without_a_peer_the_figure(
    ours: list[float], theirs: list[float] | None, target: Target | None, verdict: str
) -> None:
    assert figure(ours, theirs, target).verdict == verdict


def test_the_table_names_what_is_missed_and_what_could_not_be_made() -> None:
    found = {"one": [figure([6], [10], HALF)], "two": "gcc is not installed"}
    text = table(found)
    assert "MISS" in text
    assert "could not be made: gcc is not installed" in text
    assert missed(found)
    assert not missed({"one": [figure([4], [10], HALF)]})


def test_json_keeps_every_sample() -> None:
    reported = json.loads(as_json({"one": [figure([6, 7], [10, 12], HALF)]}))
    (only,) = reported["benchmarks"]["one"]["figures"]
    assert only["samples"] == {"ours": [6, 7], "theirs": [10, 12]}
    assert only["target"] == "≤ 0.5"
    assert reported["host"]["kernel"] == os.uname().release


def test_lines_are_counted_across_the_pieces_in_which_a_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.tools._PIECE", 7)
    file = tmp_path / "lines"
    file.write_bytes(b'{"mark":1}\n' * 5 + b'{"other":1}\n' + b'{"mark":1}')
    assert events_in(file, b'"mark"') == 6


def test_list_names_every_benchmark() -> None:
    done = bench("--list")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(TABLE)


def test_a_benchmark_that_is_not_there_is_refused_by_name() -> None:
    done = bench("speed")
    assert done.returncode == 2
    assert "there is no 'speed'" in done.stderr


@pytest.mark.parametrize("plan", sorted(PLANS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_plans_are_valid(plan: Path) -> None:
    load_plan(str(plan))


@pytest.mark.root
@pytest.mark.features("syscall_tracepoints")
def test_every_call_of_a_flood_is_a_line_or_a_loss(tmp_path: Path) -> None:
    values = run_benchmark("flood", tmp_path)
    assert values["32 MiB ring: lost"] == 0
    assert values["32 MiB ring: calls not accounted for"] == 0
    assert values["128 KiB ring: calls not accounted for"] == 0
    assert values["32 MiB ring: events made"] > 0


@pytest.mark.root
@needs_a_kernel
def test_open_numbers_are_compared_with_numbers_written_out(tmp_path: Path) -> None:
    """Both are attached and see the calls, and a plan is compiled for every recorded kernel."""
    values = run_benchmark("open-numbers", tmp_path)
    assert set(values) > {"added: count", "added: histogram", "added: record", "added: span"}
    assert -10 < values["more instructions, most of 5 pairs of plan and kernel"] <= 10


def test_the_merge_of_a_small_fleet_is_the_planted_answer(tmp_path: Path) -> None:
    """The whole benchmark, without its times."""
    report = tmp_path / "merge.json"
    done = bench("merge", "--rounds", "1", "--scale", "0.02", "--json", str(report))
    assert done.returncode == 0, done.stderr
    figures = json.loads(report.read_text())["benchmarks"]["merge"]["figures"]
    answer = {one["name"]: one["ours"] for one in figures if one.get("target") == "≤ 0"}
    assert len(answer) == 5
    assert set(answer.values()) == {0}


@pytest.mark.root
@needs_a_kernel
def test_starts_from_bundles_are_compared_and_bundles_weighed(tmp_path: Path) -> None:
    """A bundle of other kernels starts here, and one plan's bundle of five kernels is built."""
    values = run_benchmark("bundles", tmp_path)
    assert values["context-switches: start to armed, for a new pid"] > 0
    assert values["checking a bundle's signature"] > 0
    assert 0 < values["bundle of five kernels, median"] <= 12


@pytest.mark.root
@needs_a_kernel
def test_a_glob_by_one_link_is_compared_with_its_functions_one_by_one(tmp_path: Path) -> None:
    names = {"attaching 20 functions", "detaching 20 functions"}
    figures = run_benchmark("joining", tmp_path)
    assert set(figures) == names
    assert all(milliseconds > 0 for milliseconds in figures.values())
