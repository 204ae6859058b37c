"""The fields of run.finished where making the report of a run failed. Pure, and as simple as can
be: it has to work where the report did not."""

from typing import Any

from orchestrator.accounting.count import UNKNOWN
from orchestrator.run.report.account import Account
from orchestrator.run.report.faults import Faults
from orchestrator.run.report.outcome import Outcome

__all__ = ["describe_failed_report"]

_WHY = "the report of the run failed, so it is not known what was lost"
_OUTCOME: Outcome = "error"


def describe_failed_report(
    faults: Faults, account: Account, armed_at: str | None, armed_for_ns: int
) -> dict[str, Any]:
    """The fields that say what became of the run: `faults` has what went wrong, and the counts are
    those of `account` as they are, not judged. The others are as of Ending."""
    return {
        "outcome": _OUTCOME,
        "exit_code": faults.exit_code,
        "armed_at": armed_at,
        "duration_ns": armed_for_ns,
        "paused_ns": {},
        "command_status": None,
        "command_descendants_left": [],
        "complete": UNKNOWN,
        "incomplete_because": [_WHY],
        "counted": UNKNOWN,
        "recorded": UNKNOWN,
        "held_back": [],
        "held_back_because": None,
        "nothing_seen_because": None,
        "delivered": account.delivered,
        "lost": UNKNOWN,
        "ledger": account.ledger,
        "error": faults.describe(),
    }
