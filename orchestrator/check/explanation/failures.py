"""The failures of a check that can be explained, each with the cells that grew and the records that
are wanted. Pure."""

from collections.abc import Mapping

from orchestrator.check.baseline.model import Baseline
from orchestrator.check.expectation.claim import read_claim
from orchestrator.check.expectation.references import PlanNames
from orchestrator.check.explanation.growth import find_growth, is_explainable
from orchestrator.check.explanation.model import Growth
from orchestrator.check.explanation.selection import RecordSelection, grown_keys
from orchestrator.check.measurement import Measurement
from orchestrator.check.model import Expectation
from orchestrator.check.verdict.model import CheckVerdict, ExpectationVerdict
from orchestrator.values import dataclass

__all__ = ["Failure", "list_failures"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An expectation over counts that failed."""

    expectation: Expectation
    growth: Growth
    selection: RecordSelection


def list_failures(
    verdict: CheckVerdict,
    measurement: Measurement,
    baseline: Baseline | None,
    constants: Mapping[str, int],
) -> list[Failure]:
    """The failures in order of the expectations."""

    def describe(judged: ExpectationVerdict) -> Failure:
        check = verdict.check
        growth = find_growth(check, judged, measurement, baseline, constants)
        subject = read_claim(judged.expectation.that).subject
        selection = RecordSelection(
            references=tuple(PlanNames(check.plan).list_metrics(subject)),
            grown=grown_keys(growth),
            params={name: param.value for name, param in check.params.items()},
            constants=constants,
        )
        return Failure(expectation=judged.expectation, growth=growth, selection=selection)

    return [describe(one) for one in verdict.expectations if is_explainable(verdict.check, one)]
