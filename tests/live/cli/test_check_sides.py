"""`probeplan check --ab`: two values of a param, in turns, judged against each other."""

from pathlib import Path

import pytest

from tests.live.cli.test_check import Folder, verdicts

CHECK = """
apiVersion: probeplan/v1
kind: ProbeCheck
metadata: {name: sides, summary: for tests}
params: {value: {type: string}}
plan:
  probes:
    call:
      attach: "tracepoint:raw_syscalls:sys_enter"
      let: {number: args.id}
      metrics: {calls: {count: true, by: [number]}}
workload:
  run: RUN
expect:
"""
GETPPIDS = '[python3, -c, "import os; [os.getppid() for _ in range($(params.value))]"]'
PAUSE = "[sleep, $(params.value)]"
BUILDS = "[./$(params.value)]"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.mark.parametrize("backend", ["bcc", "tracefs"])
def test_counts_are_compared_exactly(folder: Folder, backend: str) -> None:
    ran = folder.check(
        "same: 'call.calls[number == SYS_getppid] <= baseline'\n"
        "one-more: 'call.calls[number == SYS_getppid] <= baseline + 1'\n",
        "--ab",
        "value=30,31",
        "--backend",
        backend,
        text=CHECK.replace("RUN", GETPPIDS),
        code=1,
    )
    assert verdicts(ran) == {"same": "fail", "one-more": "ok"}
    [line] = [one for one in ran.of_kind("check.verdict") if one["expectation"] == "same"]
    assert (line["series"][0]["baseline"], line["series"][0]["values"]) == (30, [31, 31, 31])
    assert line["series"][0]["times"] == []
    [started] = ran.of_kind("check.started")
    assert started["sides"] == {"param": "value", "A": "30", "B": "31"}
    order = "".join(one["side"] for one in ran.of_kind("check.repeat") if not one["warmup"])
    assert order == "BAABBA"
    assert "A: value=30, B: value=31" in folder.errors
    [explained] = ran.of_kind("check.explained")
    grown = {(one["metric"], one["before"], one["value"]) for one in explained["cells"]}
    assert grown == {("call.calls", 30, 31)}


def test_what_takes_much_longer_fails_after_two_measurements(folder: Folder) -> None:
    ran = folder.check(
        "wall: workload.wall <= 1.5 * baseline",
        "--ab",
        "value=0,0.1",
        text=CHECK.replace("RUN", PAUSE),
        code=1,
    )
    assert verdicts(ran) == {"wall": "fail"}
    [line] = ran.of_kind("check.verdict")
    [times] = line["series"][0]["times"]
    assert times["worse"] is True
    assert times["p"] < 0.005
    assert min(times["ratio"], times["ratio_again"]) > 1.5
    assert {one["measurement"] for one in ran.of_kind("check.repeat")} >= {1, 2}
    assert "when measured again" in folder.errors


def test_what_is_the_same_does_not_fail(folder: Folder) -> None:
    """On a machine whose other load decides whether the tolerance shows; twenty repeats a side."""
    ran = folder.check(
        "wall: workload.wall <= 1.5 * baseline",
        "--ab",
        "value=0,0",
        "--on-inconclusive",
        "warn",
        text=CHECK.replace("RUN", PAUSE),
        code=0,
    )
    assert verdicts(ran)["wall"] in ("ok", "inconclusive")
    first = [one for one in ran.of_kind("check.repeat") if one["measurement"] == 1]
    assert len([one for one in first if not one["warmup"]]) == 40


def test_a_side_that_fails_is_named(folder: Folder) -> None:
    for name, code in (("good", 0), ("bad", 3)):
        file = folder.path / name
        file.write_text(f"#!/bin/sh\nexit {code}\n")
        file.chmod(0o755)
    ran = folder.check(
        "calls: call.calls <= 1.5 * baseline",
        "--ab",
        "value=good,bad",
        text=CHECK.replace("RUN", BUILDS),
        code=5,
    )
    [line] = ran.of_kind("check.verdict")
    assert line["verdict"] == "workload"
    assert line["reasons"][0].startswith("side B: run: ")
