"""Which bounds compare how long something takes with how long it takes on another side."""

from orchestrator.check.expectation.claim import Claim, compares_with_baseline, read_claim
from orchestrator.check.expectation.references import PlanNames
from orchestrator.check.model import Expectation
from orchestrator.plan.findings import PlanError

__all__ = ["compares_times", "list_time_bounds"]


def list_time_bounds(claim: Claim, names: PlanNames) -> tuple[int, ...]:
    """The numbers of the bounds, from 0, that are times of the baseline."""
    if not names.names_time(claim.subject):
        return ()
    bounds = enumerate(claim.bounds)
    return tuple(number for number, bound in bounds if compares_with_baseline(bound.value))


def compares_times(expectation: Expectation, names: PlanNames) -> bool:
    """Whether an expectation compares a time with the baseline. What is no comparison, does not."""
    try:
        claim = read_claim(expectation.that)
    except PlanError:
        return False
    return bool(list_time_bounds(claim, names))
