"""Globs of every kind attach to all that they match, and count each exactly, on this kernel."""

from pathlib import Path

import pytest

from tests.support.bcc_runs import build
from tests.support.paths import WORKLOADS
from tests.support.product import run_cli

HEAD = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: globs, summary: for tests}
limits: {duration: 1m, cpu: 100%}
"""
ROUNDS = 7


def counts(plan: Path, attach: str, command: list[str], backend: str) -> dict[str, int]:
    """How often each attach point of a glob was hit, by `func`."""
    plan.write_text(
        f"{HEAD}probes:\n  p: {{attach: '{attach}', metrics: {{n: {{count: true, by: [func]}}}}}}\n"
    )
    ran = run_cli(str(plan), "--backend", backend, command=command)
    return {cell["key"]["func"]: cell["value"] for cell in ran.cells("p", "n")}


@pytest.mark.parametrize("backend", ["bcc", "tracefs"])
@pytest.mark.parametrize(
    ("attach", "name"),
    [
        ("tracepoint:syscalls:sys_e*_prctl", "sys_enter_prctl"),
        ("tracepoint:*:sys_enter_prct?", "sys_enter_prctl"),
        ("syscall:prct*", "prctl"),
    ],
)
def test_calls_are_counted_by_globs(attach: str, name: str, backend: str, tmp_path: Path) -> None:
    calls = build(WORKLOADS / "calls.c", tmp_path / "calls")
    words = [f"prctl 99 {number}" for number in range(ROUNDS)]
    found = counts(tmp_path / "plan.yaml", attach, [str(calls), *words], backend)
    assert found[name] == ROUNDS
    if attach.startswith("tracepoint:syscalls"):
        assert found["sys_exit_prctl"] == ROUNDS


@pytest.mark.parametrize(
    ("attach", "backend", "names"),
    [
        ("uprobe:{}:?ive", "bcc", {"give"}),
        ("uprobe:{}:?ive", "tracefs", {"give"}),
        ("ufunction:{}:ta?e", "bcc", {"take"}),
        ("ufunction:{}:ta?e", "tracefs", {"take"}),
        ("uretprobe:{}:*ive", "tracefs", {"give"}),
        ("usdt:{}:texts:glob_*", "bcc", {"glob_one", "glob_two"}),
        ("usdt:{}:t*:tex?", "bcc", {"text"}),
    ],
)
def test_places_in_a_file_are_counted_by_globs(
    attach: str, backend: str, names: set[str], tmp_path: Path
) -> None:
    texts = build(WORKLOADS / "texts.c", tmp_path / "texts")
    command = [str(texts), str(ROUNDS)]
    found = counts(tmp_path / "plan.yaml", attach.format(texts), command, backend)
    assert set(found) == names
    assert set(found.values()) == {ROUNDS}


def test_raw_tracepoints_are_counted_by_globs(tmp_path: Path) -> None:
    calls = build(WORKLOADS / "calls.c", tmp_path / "calls")
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        HEAD
        + """
probes:
  p:
    attach: rawtracepoint:sys_ente?
    where: args.id == SYS_prctl
    metrics: {n: {count: true, by: [func]}}
"""
    )
    words = [f"prctl 99 {number}" for number in range(ROUNDS)]
    ran = run_cli(str(plan), "--backend", "bcc", command=[str(calls), *words])
    assert ran.value("p", "n", func="sys_enter") == ROUNDS
