"""What the reports of an invocation have of each check, and how each verdict counts. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal

from orchestrator.check.model import Check
from orchestrator.check.verdict.model import CheckVerdict, ExpectationVerdict
from orchestrator.values import dataclass

__all__ = ["CheckReport", "InconclusiveRule", "Standing", "find_standing", "list_texts"]

#: What `--on-inconclusive` says.
InconclusiveRule = Literal["fail", "warn"]
#: ok: it holds. warning: it is reported and fails nothing. failure: it is broken. error: it could
#: not be decided.
Standing = Literal["ok", "warning", "failure", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """One check. `verdict` None: it was not judged, and `trouble` says why, in words for people.
    `began`: in UTC. `commit`: of the repository that the check is in, "" if it is in none.
    `exit_codes`: those that it asks for."""

    check: Check
    verdict: CheckVerdict | None = None
    trouble: str = ""
    began: datetime | None = None
    duration_ns: int = 0
    commit: str = ""
    exit_codes: tuple[int, ...] = ()

    @property
    def judged(self) -> Sequence[ExpectationVerdict]:
        """Its expectations as they were judged; none where it was not."""
        return () if self.verdict is None else self.verdict.expectations


def find_standing(judged: ExpectationVerdict, rule: InconclusiveRule) -> Standing:
    """How a verdict counts, in accord with the exit code that it asks for."""
    match judged.verdict:
        case "ok":
            return "ok"
        case "workload":
            return "error"
        case "fail":
            return "failure" if judged.expectation.severity == "fail" else "warning"
    is_ignored = rule == "warn" or judged.expectation.severity == "warn"
    return "warning" if is_ignored else "error"


def list_texts(judged: ExpectationVerdict) -> Iterator[str]:
    """Why an expectation is not ok, and what else there is to say, each once."""
    yield from dict.fromkeys((*judged.reasons, *judged.notes))
