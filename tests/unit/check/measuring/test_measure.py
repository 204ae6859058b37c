"""In which order a check's workload is repeated, and what happens before the repeats that count."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.check.measurement import WorkloadTrouble
from orchestrator.check.measuring import measure
from orchestrator.check.measuring.repeater import WorkloadFailed
from orchestrator.check.model import Workload


def collect(workload: Workload, *, fails_at: int | None = None) -> Sequence[object]:
    """What was done in which order: the sizes that were run, and the call before the repeats."""
    done: list[object] = []

    def repeat(_maker: object, ops: int) -> int:
        if len(done) == fails_at:
            raise WorkloadFailed("run", "it fails")
        done.append(ops)
        return ops

    check: Any = SimpleNamespace(workload=workload)
    makers = (dict.fromkeys(workload.ops),)
    stage: Any = SimpleNamespace(repeater=SimpleNamespace(repeat=repeat), makers=makers)
    collected = [measure._Collected()]
    measure._collect(check, stage, collected, lambda _: None, lambda: done.append("before"))
    if fails_at is not None:
        assert collected[0].trouble == WorkloadTrouble(stage="run", message="it fails")
    return done


@pytest.mark.parametrize(
    ("warmup", "repeats", "order"),
    [
        (1, 1, [10, 20, "before", 10, 20]),
        (0, 1, ["before", 10, 20]),
        (1, 2, [10, 20, "before", 10, 20, 10, 20]),
    ],
)
def test_the_call_is_made_once_between_the_warmup_and_the_repeats(
    warmup: int, repeats: int, order: list[object]
) -> None:
    workload = Workload(run=("x",), ops=(10, 20), warmup=warmup, repeats=repeats)
    assert collect(workload) == order


def test_a_warmup_that_fails_is_not_followed_by_the_call() -> None:
    assert collect(Workload(run=("x",), ops=(10,), warmup=2, repeats=1), fails_at=1) == [10]
