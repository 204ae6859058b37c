"""The order in which sides and sizes are run."""

from collections import defaultdict

import pytest

from orchestrator.check.measuring.turns import list_turns
from orchestrator.check.model import Workload


def shown(ops: tuple[int, ...], sides: int, warmup: int, repeats: int) -> str:
    """Each run as its side and size."""
    workload = Workload(run=("true",), ops=ops, warmup=warmup, repeats=repeats)
    turns = list_turns(workload, sides)
    assert sum(turn.is_warmup for turn in turns) == warmup * len(ops) * sides
    return " ".join(
        f"{'AB'[turn.side]}{turn.ops if len(ops) > 1 else ''}"
        for turn in turns
        if not turn.is_warmup
    )


def test_sides_go_back_and_forth() -> None:
    assert shown((1,), 2, 0, 4) == "A B B A A B B A"
    assert shown((1,), 2, 1, 4) == "B A A B B A A B"


def test_sizes_and_sides_go_back_and_forth() -> None:
    assert shown((10, 20), 2, 0, 2) == "A10 B10 B20 A20 B10 A10 A20 B20"


def test_one_side_alone_takes_turns_of_its_sizes() -> None:
    assert shown((10, 20), 1, 1, 3) == "A10 A20 A10 A20 A10 A20"
    assert shown((1,), 1, 1, 3) == "A A A"


@pytest.mark.parametrize("ops", [(1,), (10, 20)])
def test_a_steady_drift_touches_both_sides_alike(ops: tuple[int, ...]) -> None:
    """Also the difference of two sizes."""
    workload = Workload(run=("true",), ops=ops, warmup=0, repeats=20)
    times: dict[int, int] = defaultdict(int)
    for moment, turn in enumerate(list_turns(workload, 2)):
        times[turn.side] += moment if turn.ops == max(ops) else -moment
    assert times[0] == times[1]
