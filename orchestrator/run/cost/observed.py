"""What the governor would have done, where it only observes."""

from collections.abc import Sequence

from orchestrator.backends.protocol import Expense
from orchestrator.compile.program import Program
from orchestrator.run.cost.budget import choose_step, measure_cost
from orchestrator.run.cost.governor import LOOK_NS

__all__ = ["describe_excess"]


def describe_excess(
    program: Program, before: Sequence[Expense], now: Sequence[Expense], elapsed_ns: int
) -> str | None:
    """The step that limits.cpu would have led to, in words; None: it was kept, or the probes were
    armed for less time than the governor takes to look. Run times are those that are assumed before
    any are measured: measuring them slows what is measured."""
    if elapsed_ns < LOOK_NS:
        return None
    samples = {probe.index: probe.sample for probe in program.probes if probe.samplable}
    cost = measure_cost(before, now, elapsed_ns / 1e9, {}, samples)
    budget = program.limits.cpu
    step = choose_step(cost, budget) if cost.total > budget else None
    if step is None:
        return None
    name = program.probes[step.share.probe].name
    what = f"sampled {name} 1/{step.sample}" if step.sample else f"detached {name}"
    return (
        f"limits.cpu ({budget * 100:g}% of one CPU) would have {what}: the probes took "
        f"{cost.total * 100:.3g}%"
    )
