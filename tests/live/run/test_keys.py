"""Metrics by expressions, on this machine's kernel."""

from pathlib import Path

import pytest

from tests.support.bcc_runs import build
from tests.support.paths import WORKLOADS
from tests.support.product import run_cli

HEAD = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: keys, summary: for tests}
limits: {duration: 1m, cpu: 100%}
"""
VALUES = (0, 1, 9, 10, 19, 2**32, 2**64 - 1)


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """System calls with chosen arguments (calls.c)."""
    return build(WORKLOADS / "calls.c", tmp_path_factory.mktemp("calls") / "calls")


@pytest.mark.parametrize("backend", ["bcc", "tracefs"])
def test_each_key_has_what_its_expression_says(tmp_path: Path, calls: Path, backend: str) -> None:
    """Numbers and chosen texts, with a name and without."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        HEAD
        + """
probes:
  p:
    attach: tracepoint:syscalls:sys_enter_prctl
    where: args.option == 99
    metrics:
      tens: {count: true, by: [args.arg2 // 10]}
      both: {count: true, by: [{large: args.arg2 > 9}, {last: args.arg2 % 10}]}
"""
    )
    words = [f"prctl 99 {value}" for value in VALUES]
    ran = run_cli(str(plan), "--backend", backend, command=[str(calls), *words])
    expected: dict[object, int] = {}
    for value in VALUES:
        expected[value // 10] = expected.get(value // 10, 0) + 1
    cells = {cell["key"]["args.arg2 // 10"]: cell["value"] for cell in ran.cells("p", "tens")}
    assert cells == expected
    for value in VALUES:
        alike = [v for v in VALUES if (v > 9, v % 10) == (value > 9, value % 10)]
        assert ran.value("p", "both", large=value > 9, last=value % 10) == len(alike)


def test_spans_and_what_is_outstanding_count_by_expressions(tmp_path: Path, calls: Path) -> None:
    """A span's key is computed at its end, that of what is outstanding when it is opened."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        HEAD
        + """
let: {x: args.arg2}
probes:
  first: {attach: "tracepoint:syscalls:sys_enter_prctl", where: "args.option in (97, 99)"}
  last: {attach: "tracepoint:syscalls:sys_enter_prctl", where: args.option == 98}
spans:
  s:
    start: first
    end: last
    key: [pid, x]
    metrics: {n: {count: true, by: [start.args.option - 90, {odd: end.x % 2 == 1}]}}
outstanding:
  o: {open: first, close: last, key: [pid, x], value: x, by: [x // 100]}
"""
    )
    words = ["prctl 99 7", "prctl 97 8", "prctl 98 7", "prctl 98 8", "prctl 99 250", "prctl 99 251"]
    ran = run_cli(str(plan), "--backend", "bcc", command=[str(calls), *words])
    assert ran.value("s", "n", **{"start.args.option - 90": 9, "odd": True}) == 1
    assert ran.value("s", "n", **{"start.args.option - 90": 7, "odd": False}) == 1
    [reported] = ran.of_kind("outstanding.reported")
    assert [(cell["key"], cell["value"]) for cell in reported["cells"]] == [({"x // 100": 2}, 501)]
