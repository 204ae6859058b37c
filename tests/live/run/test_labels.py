"""Names for numbers on this machine's kernel: its own tables, its enums, and the plan's."""

import sys
from pathlib import Path

import pytest

from tests.support.bcc_runs import build
from tests.support.paths import WORKLOADS
from tests.support.product import run_cli

HEAD = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: labels, summary: for tests}
limits: {duration: 1m, cpu: 100%}
"""
BACKENDS = pytest.mark.parametrize("backend", ["bcc", "tracefs"])
LISTEN = """
import socket
for _ in range(7):
    with socket.create_server(("127.0.0.1", 0)):
        pass
"""


@BACKENDS
def test_a_tracepoints_own_names_count_states(tmp_path: Path, backend: str) -> None:
    """7 sockets listen and are closed: by the table of the print format, in keys and records."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        HEAD
        + """
probes:
  p:
    attach: tracepoint:sock:inet_sock_set_state
    emit: {to: label(args.newstate), family: label(args.family), protocol: label(args.protocol)}
    metrics:
      n: {count: true, by: [{from_state: label(args.oldstate)}, {to: label(args.newstate)}]}
"""
    )
    ran = run_cli(str(plan), "--backend", backend, command=[sys.executable, "-c", LISTEN])
    assert ran.value("p", "n", from_state="TCP_CLOSE", to="TCP_LISTEN") == 7
    assert ran.value("p", "n", from_state="TCP_LISTEN", to="TCP_CLOSE") == 7
    rows = {(row["to"], row["family"], row["protocol"]) for row in ran.data("p")}
    assert rows == {
        ("TCP_LISTEN", "AF_INET", "IPPROTO_TCP"),
        ("TCP_CLOSE", "AF_INET", "IPPROTO_TCP"),
    }


@BACKENDS
def test_the_plans_labels_add_up_what_they_call_alike(tmp_path: Path, backend: str) -> None:
    """Two numbers of one name, and all others under `_`, are one cell each; records have names."""
    calls = build(WORKLOADS / "calls.c", tmp_path / "calls")
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        HEAD
        + """
labels: {op: {0: read, 1: write, 2: write, _: other}, bits: {1: a, 6: b}}
probes:
  p:
    attach: tracepoint:syscalls:sys_enter_prctl
    where: args.option == 99
    emit: {op: "label(args.arg2, op)", bits: "flags(args.arg3, bits)"}
    metrics:
      n: {count: true, by: [{op: "label(args.arg2, op)"}]}
      most: {max: args.arg3, by: [{op: "label(args.arg2, op)"}], warn: value > 6}
"""
    )
    sent = [(0, 1), (1, 6), (2, 7), (1, 0), (7, 9), (8, 2), (9, 1)]
    words = [f"prctl 99 {op} {bits}" for op, bits in sent]
    ran = run_cli(str(plan), "--backend", backend, command=[str(calls), *words])
    assert {cell["key"]["op"]: cell["value"] for cell in ran.cells("p", "n")} == {
        "read": 1,
        "write": 3,
        "other": 3,
    }
    assert len(ran.cells("p", "n")) == 3
    assert ran.value("p", "most", op="write") == 7
    warned = [cell["key"]["op"] for one in ran.of_kind("metric.warned") for cell in one["cells"]]
    assert sorted(warned) == ["other", "write"]
    assert [(row["op"], row["bits"]) for row in ran.data("p")] == [
        ("read", "a"), ("write", "b"), ("write", "a|b"), ("write", "0"), ("other", "a|0x8"),
        ("other", "0x2"), ("other", "a"),
    ]  # fmt: skip


def test_spans_show_names_of_both_ends(tmp_path: Path) -> None:
    """An enum of the kernel's types where it is kept from the start, and the plan's labels."""
    calls = build(WORKLOADS / "calls.c", tmp_path / "calls")
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        HEAD
        + """
labels: {op: {97: first, 98: last}}
probes:
  a: {attach: "tracepoint:syscalls:sys_enter_prctl", where: args.option == 97}
  b: {attach: "tracepoint:syscalls:sys_enter_prctl", where: args.option == 98}
spans:
  s:
    start: a
    end: b
    key: [tid]
    let: {began: "label(start.args.option, op)"}
    emit: {began: began, ended: "label(end.args.option, op)"}
    metrics: {n: {count: true, by: [began]}}
outstanding:
  o: {open: a, close: b, key: [tid, args.arg2], value: 1, by: [{op: "label(args.option, op)"}]}
"""
    )
    words = ["prctl 97 1", "prctl 98 1", "prctl 97 2"]
    ran = run_cli(str(plan), "--backend", "bcc", command=[str(calls), *words])
    assert ran.data("s") == [{"began": "first", "ended": "last"}]
    assert ran.value("s", "n", began="first") == 1
    [reported] = ran.of_kind("outstanding.reported")
    assert [cell["key"] for cell in reported["cells"]] == [{"op": "first"}]
