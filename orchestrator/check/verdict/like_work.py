"""Did two sides do the same work, as far as a time is about single events?"""

from collections.abc import Sequence

from orchestrator.check.expectation.claim import Claim
from orchestrator.check.expectation.figures import RunCounts
from orchestrator.check.expectation.references import MetricReference
from orchestrator.check.sides import SIDE_NAMES
from orchestrator.check.verdict.readings import Readings, require

__all__ = ["require_like_work"]


def require_like_work(
    readings: Readings, claim: Claim, base: Sequence[RunCounts], candidate: Sequence[RunCounts]
) -> None:
    """Leave a percentile, an average or an extreme undecided where every repeat of a side has the
    same number of events and the sides have different ones: these are other events. (A sum grows by
    their number, and has to.) Raises UnlikeKey."""
    for metric in readings.names.list_metrics(claim.subject):
        if not _is_of_one_event(metric):
            continue
        counts = [
            {(run.ops, _count_events(readings, metric, run)) for run in runs}
            for runs in (base, candidate)
        ]
        steady = all(len(found) == len({ops for ops, _ in found}) for found in counts)
        shown = " and ".join(
            f"{', '.join(f'{count:,}' for _, count in sorted(found))} events on side {side}"
            for found, side in zip(counts, SIDE_NAMES, strict=True)
        )
        name = f"{metric.owner}.{metric.metric.name}"
        reason = f"the sides did different work: in each repeat, {name} has {shown}"
        require(not steady or counts[0] == counts[1], f"{reason}; gate their count, or a sum")


def _is_of_one_event(metric: MetricReference) -> bool:
    average = "avg" in (metric.number, metric.metric.kind)
    return not metric.counts and (metric.is_percentile or metric.is_extreme or average)


def _count_events(readings: Readings, metric: MetricReference, run: RunCounts) -> int:
    return sum(cell.count for cell in readings.reader.select_cells(metric, run))
