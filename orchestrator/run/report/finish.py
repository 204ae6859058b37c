"""The fields of run.finished, and the exit code. Pure."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.compile.program import Program
from orchestrator.plan.model import Limits
from orchestrator.run.report.account import Account
from orchestrator.run.report.faults import Faults
from orchestrator.run.report.outcome import CommandResult, Outcome
from orchestrator.run.report.verdict import LedgerVerdict, explain_nothing_seen, judge_ledger

__all__ = ["Ending", "choose_exit_code", "finish_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A run that is over. `armed_at`: RFC 3339, None if it was never armed; `ended_by`: the signal
    that ended it, if one did; `startup_ms`: from the start of the process to the first attached
    probe; `detach_ms`: how long detaching took; `output_limited`: limits.output was reached;
    `output_failed`: why writing the output failed, "" if it did not; `paused_ns`: for how long
    probes were paused, by name."""

    outcome: Outcome
    account: Account
    command: CommandResult | None
    ended_by: signal.Signals | None
    armed_at: str | None
    armed_for_ns: int
    startup_ms: float | None
    detach_ms: float | None
    output_limited: bool
    output_failed: str
    paused_ns: Mapping[str, int]


def finish_run(
    ending: Ending, program: Program, faults: Faults
) -> tuple[dict[str, Any], LedgerVerdict]:
    """The fields of run.finished, including its `level`, and the verdict that they contain."""
    account = ending.account
    verdict = judge_ledger(
        account.ledger, account.undelivered, output_limited=ending.output_limited
    )
    if ending.armed_at is None:
        never = ("nothing was ever attached and armed",)
        verdict = LedgerVerdict(complete=False, reasons=never, lost=0, violations=())
    if ending.output_failed:
        failed = f"writing the output failed: {ending.output_failed}"
        verdict = replace(verdict, complete=False, reasons=(failed, *verdict.reasons))
    code = choose_exit_code(ending, verdict, faults, program.limits)
    doubtful = code or faults.notes or verdict.complete is False
    fields = {
        "level": "error" if code == 6 else "warning" if doubtful else "info",
        "outcome": ending.outcome,
        "exit_code": code,
        "armed_at": ending.armed_at,
        "duration_ns": ending.armed_for_ns,
        "startup_ms": ending.startup_ms,
        "detach_ms": None if ending.detach_ms is None else round(ending.detach_ms, 1),
        "paused_ns": dict(ending.paused_ns),
        "command_status": _shell_status(ending.command),
        "command_descendants_left": [
            {"pid": pid, "comm": comm}
            for pid, comm in (ending.command.left if ending.command else ())
        ],
        "complete": verdict.complete,
        "incomplete_because": list(verdict.reasons),
        "nothing_seen_because": explain_nothing_seen(account.ledger, program.target),
        "delivered": account.delivered,
        "lost": verdict.lost,
        "ledger": account.ledger,
        "error": _describe_error(ending, verdict, faults),
    }
    return fields, verdict


def choose_exit_code(ending: Ending, verdict: LedgerVerdict, faults: Faults, limits: Limits) -> int:
    """The exit code: 0 done, 2 plan or usage, 3 host, 4 incomplete, 5 workload failed, 6 internal
    or cleanup failure, 130 interrupted.

    The most serious one is chosen: an error of this program or something left in the kernel, then
    the signal (128 + its number, as in shells: 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP), then the
    workload, then the data: losses, or a failed output. Completeness "unknown" is reported but
    fails nothing.

    `limits.incomplete: allow` is for losses that run.finished reports. It does not cover a run that
    never began, or one whose output failed.
    """
    if faults.errors:
        return faults.exit_code
    if faults.left_behind or verdict.violations:
        return 6
    if ending.outcome == "interrupted":
        return 128 + (ending.ended_by or signal.SIGINT)
    if ending.command is not None and ending.command.failed:
        return 5
    if ending.output_failed or ending.armed_at is None:
        return 4
    return 4 if verdict.complete is False and limits.incomplete == "fail" else 0


def _shell_status(command: CommandResult | None) -> int | None:
    """The exit status as in a shell: 128 + signal if one ended it."""
    if command is None or command.signal is None:
        return None if command is None else command.status
    return 128 + signal.Signals[command.signal]


def _describe_error(ending: Ending, verdict: LedgerVerdict, faults: Faults) -> str | None:
    parts = [faults.describe(), _describe_command(ending.command)]
    if verdict.violations:
        parts.append("internal error: the accounts do not balance; please report this")
    return "; ".join(part for part in parts if part) or None


def _describe_command(command: CommandResult | None) -> str | None:
    if command is None:
        return None
    parts = []
    if command.ended_by_us:
        parts.append("the command was sent the signal that ended the run")
    elif command.signal:
        parts.append(f"the command was ended by {command.signal}")
    elif command.status:
        parts.append(f"the command failed with status {command.status}")
    if command.left:
        left = ", ".join(f"{comm} ({pid})" for pid, comm in command.left[:5])
        parts.append(f"{len(command.left)} of its descendants still run: {left}")
    return "; ".join(parts) or None
