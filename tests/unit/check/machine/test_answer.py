"""What comes out of a machine: the same measurement again, and nothing else."""

import json
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.check.machine.answer import (
    UnreadableAnswer,
    read_answer,
    write_error,
    write_measurement,
)
from orchestrator.check.measurement import (
    CommandEnd,
    MeasuredCell,
    Measurement,
    MetricIdentity,
    ProbeIdentity,
    WorkloadTrouble,
)
from orchestrator.plan.findings import Finding, HostError, PlanError
from tests.support.measurements import HERE, cell, other, repeat

STACKS = MeasuredCell(key={"kstack": ("a", "b"), "n": None, "ok": True}, value=None, count=2)
HISTOGRAM = MeasuredCell(
    key={}, value=3, count=3, sum=7, min=1, max=4, buckets={0: 1, 5: 2}, below=1, above=2
)
REPEAT = repeat(
    {"call.calls": [cell(3, number=39, names={"number": "getppid"}), other(1)],
     "call.other": [STACKS, HISTOGRAM]},
    command=CommandEnd(code=None, signal="SIGKILL", timed_out=True, left=((7, "x"),)),
    losses={"call": ("3 events were lost",), "": ("unknown",)},
    fired_on_host={"call": "unknown", "more": 4},
    others=frozenset({("call", "calls"), ("call", "b")}),
    would_have=("too costly",),
    maxrss_bytes=None,
    children_lost="unknown",
)  # fmt: skip
MEASUREMENT = Measurement(
    repeats=(REPEAT, replace(REPEAT, ops=2)),
    probes={"call": ProbeIdentity(mechanisms=("fentry",), alternative="x", place="kernel-side")},
    metrics={"call": {"calls": MetricIdentity(kind="count", unit="", by=("number",), digest="d")}},
    environment=HERE,
    witness=REPEAT,
    trouble=WorkloadTrouble(stage="run", message="it ended"),
)


def test_an_answer_gives_the_same_measurement_again() -> None:
    assert read_answer(write_measurement(MEASUREMENT)) == MEASUREMENT


@pytest.mark.parametrize("kind", [PlanError, HostError])
def test_findings_of_the_machine_are_raised_outside(kind: type[PlanError | HostError]) -> None:
    finding = Finding(code="PP092", message="there is no such program", hint="name one")
    with pytest.raises((PlanError, HostError), match="there is no such program") as raised:
        read_answer(write_error(kind([finding])))
    assert type(raised.value) is kind
    assert raised.value.findings == (finding,)


def change_repeat(change: dict[str, Any]) -> bytes:
    data = json.loads(write_measurement(MEASUREMENT))
    data["repeats"][0] |= change
    return json.dumps(data).encode()


def test_an_unchanged_repeat_is_read() -> None:
    """Without what the cases below change it would be refused for nothing."""
    assert read_answer(change_repeat({})) == MEASUREMENT


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"no JSON",
        b"[]",
        b'{"error": "plan"}',
        b"[" * 100_000,
        change_repeat({"wall_ns": "1"}),
        change_repeat({"ops": True}),
        change_repeat({"cells": {"call": {"calls": [{"key": {}, "count": "many"}]}}}),
        change_repeat({"cells": 3}),
        change_repeat({"command": {"code": 0, "unknown": 1, "left": []}}),
        change_repeat({"others": [["one"]]}),
        change_repeat({"maxrss_bytes": "1"}),
        change_repeat({"faulted": [1]}),
    ],
)
def test_what_is_no_measurement_is_refused(answer: bytes) -> None:
    with pytest.raises(UnreadableAnswer, match="cannot be read"):
        read_answer(answer)
