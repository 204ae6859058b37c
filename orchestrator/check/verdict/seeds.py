"""A series of a deterministic machine against its baseline: each seed with its own, as in pairs."""

from collections.abc import Callable, Sequence
from fractions import Fraction

from orchestrator.check.expectation.claim import Bound, Claim
from orchestrator.check.expectation.exact import compare_exactly
from orchestrator.check.verdict.model import JudgedSeries
from orchestrator.check.verdict.series import SeriesId

__all__ = ["describe_noise", "judge_seeds"]


def judge_seeds(
    series: SeriesId,
    claim: Claim,
    values: Sequence[Fraction],
    recorded: Sequence[Fraction],
    read_bound: Callable[[Bound, Fraction | None], Fraction],
) -> JudgedSeries:
    """The series, with the seed that is nearest to its bound: what a change does beyond the
    tolerance it does under every seed, and what it does under some is the machine's noise. Where
    the bound is 0, one event under one seed is one too many."""
    bounds = [[read_bound(bound, one) for bound in claim.bounds] for one in recorded]
    holds = [
        all(
            compare_exactly(bound.op, value, limit)
            for bound, limit in zip(claim.bounds, limits, strict=True)
        )
        for value, limits in zip(values, bounds, strict=True)
    ]
    is_strict = any(limit == 0 for limits in bounds for limit in limits)
    shown = holds.index(not is_strict) if len(set(holds)) > 1 else 0
    return JudgedSeries(
        label=series.label,
        values=tuple(values),
        value=values[shown],
        bounds=tuple(bounds[shown]),
        baseline=recorded[shown],
        holds=all(holds) if is_strict else any(holds),
        varies=len(set(holds)) > 1,
        improved=False,
        is_seeded=True,
    )


def describe_noise(series: JudgedSeries) -> str | None:
    """How much the seeds differ, None where they agree."""
    middle = sorted(series.values)[len(series.values) // 2]
    if not series.is_seeded or series.is_exact or not middle:
        return None
    spread = float((max(series.values) - min(series.values)) / abs(middle)) * 100
    return f"seeds differ by {spread:.2g} %: smaller changes are noise"
