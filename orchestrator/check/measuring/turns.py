"""In which order a workload is run: sizes and sides take turns, so that a drift touches all."""

from orchestrator.check.model import Workload
from orchestrator.values import dataclass

__all__ = ["Turn", "list_turns"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One run of the workload: of which side, with how many operations."""

    side: int
    ops: int
    is_warmup: bool


def list_turns(workload: Workload, sides: int) -> list[Turn]:
    """All runs in their order. Sides go back and forth from run to run, ABBA. With two sizes that
    is A10 B10 B20 A20, and then the other way round, so that a drift is the same in the differences
    of both sides, too."""
    turns: list[Turn] = []
    order = list(range(sides))
    for number in range(workload.warmup + workload.repeats):
        for ops in workload.ops:
            is_warmup = number < workload.warmup
            turns += [Turn(side=side, ops=ops, is_warmup=is_warmup) for side in order]
            order.reverse()
        if len(workload.ops) % 2 == 0:  # otherwise each size would always have the same order
            order.reverse()
    return turns
