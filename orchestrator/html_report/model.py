"""What a report is made of."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.html_report.log_digest import LogDigest
from orchestrator.values import dataclass

__all__ = ["RunSource"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSource:
    """One run. `name`: what the user called it, such as its directory; `document`: its result, as
    schema/result-v1.schema.json has it; `plan_text`: the plan, None where it is not at hand; `log`:
    what its log says, None where that is not at hand; `notes`: what the report has to say of how
    it was read."""

    name: str
    document: Mapping[str, Any]
    plan_text: str | None
    log: LogDigest | None
    notes: Sequence[str] = ()

    @property
    def run(self) -> Mapping[str, Any]:
        """How it ended, as in run.finished."""
        finished: Mapping[str, Any] = self.document["run"]
        return finished
