"""The fields of run.finished, and the exit code. Pure."""

import signal
from collections.abc import Iterator, Mapping
from dataclasses import asdict, field
from typing import Any

from orchestrator.accounting.count import Count, add_counts
from orchestrator.compile.program import Program
from orchestrator.plan.model import Limits
from orchestrator.plan.units import format_bytes, format_count
from orchestrator.run.report.account import Account
from orchestrator.run.report.faults import Faults
from orchestrator.run.report.held_back import (
    describe_held_back,
    find_held_back,
    judge_records,
)
from orchestrator.run.report.outcome import CommandResult, Outcome
from orchestrator.run.report.verdict import LedgerVerdict, explain_nothing_seen, judge_ledger
from orchestrator.values import dataclass

__all__ = ["Ending", "choose_exit_code", "finish_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A run that is over. `armed_at`: RFC 3339, None if it was never armed; `ended_by`: the signal
    that ended it, if one did; `startup_ms`: from the start of the process to the first attached
    probe; `detach_ms`: how long detaching took; `output_limited`: limits.output was reached;
    `output_failed`: why writing the output failed, "" if it did not; `unread_lines`: lines that no
    reader of a FIFO got; `unknown_cgroups`: how many have no name, None where none are shown;
    `paused_ns`: for how long probes were paused, by name; `dropped`: probes
    that limits.cpu detached before the end, each with how long after arming (ns); `capped`: the
    kernel disabled all probes at limits.events; `blind_because`: what was not seen from some moment
    on, and why."""

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
    unread_lines: int = 0
    unknown_cgroups: int | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    capped: bool = False
    blind_because: tuple[str, ...] = ()


def finish_run(
    ending: Ending, program: Program, faults: Faults
) -> tuple[dict[str, Any], LedgerVerdict]:
    """The fields of run.finished, including its `level`, and the verdict that they contain."""
    account = ending.account
    verdict = _judge_run(ending, program)
    made, recorded = judge_records(account.ledger)
    unwritten = account.undelivered if ending.output_limited else {}
    held_back = find_held_back(account.ledger, program, unwritten)
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
        "counted": verdict.counted,
        "recorded": recorded,
        "held_back": [asdict(held) for held in held_back],
        "held_back_because": describe_held_back(account.delivered, made, held_back) or None,
        "nothing_seen_because": explain_nothing_seen(account.ledger, program.target),
        "delivered": account.delivered,
        "lost": verdict.lost,
        "unread_lines": ending.unread_lines,
        **_count_unknown(ending.unknown_cgroups),
        "ledger": account.ledger,
        "error": _describe_error(ending, verdict, faults),
    }
    return fields, verdict


def _count_unknown(cgroups: int | None) -> dict[str, int]:
    return {} if cgroups is None else {"unknown_cgroups": cgroups}


def _judge_run(ending: Ending, program: Program) -> LedgerVerdict:
    """The ledger's verdict, and what ended or narrowed the run before its time."""
    account = ending.account
    if ending.armed_at is None:
        never = LedgerVerdict(complete=True, reasons=(), lost=0, violations=())
        return never.spoil("nothing was ever attached and armed")
    verdict = judge_ledger(
        account.ledger, account.undelivered, output_limited=ending.output_limited
    )
    if missed := (
        *_missed_by_cost(ending, program.limits),
        *_missed_at_bounds(ending, program.limits),
    ):
        verdict = verdict.spoil(*missed)
    if ending.blind_because:
        verdict = verdict.spoil(*ending.blind_because)
    if ending.output_failed:
        failed = f"writing the output failed: {ending.output_failed}"
        verdict = verdict.spoil(failed, counted=True)
    return verdict


def _missed_by_cost(ending: Ending, limits: Limits) -> Iterator[str]:
    """What limits.cpu kept the run from seeing."""
    bound = f"limits.cpu ({limits.cpu * 100:g}% of one CPU)"
    if ending.outcome == "cost":
        yield f"{_describe_end(bound, ending, limits)}; raise it with --limit cpu=…"
        return
    after = f"{ending.armed_for_ns / 1e9:.3g} s"
    for name, at_ns in ending.dropped.items():
        yield (
            f"{name}: {bound} detached it after {at_ns / 1e9:.3g} s of {after}; raise it with "
            "--limit cpu=…"
        )


def _missed_at_bounds(ending: Ending, limits: Limits) -> Iterator[str]:
    """What the bounds of the log kept the run from seeing: where it ended at one of them, nothing
    counts what came later."""
    cap = f"limits.events ({format_count(limits.events)})"
    cure = "raise it with --limit events=…, or count on without records with --limit at_cap=mute"
    if ending.outcome == "cap":
        yield f"{_describe_end(cap, ending, limits)}; {cure}"
    elif ending.outcome == "limit":
        output = f"limits.output ({format_bytes(limits.output)})"
        yield f"{_describe_end(output, ending, limits)}; raise it with --limit output=…"
    elif ending.capped and _count_expired(ending) != 0:
        yield f"{cap} was reached before the end, from when on nothing was counted; {cure}"


def _describe_end(bound: str, ending: Ending, limits: Limits) -> str:
    whole = "" if limits.duration_ns is None else f" of {limits.duration_ns / 1e9:.3g} s"
    return f"{bound} ended the run after {ending.armed_for_ns / 1e9:.3g} s{whole}"


def _count_expired(ending: Ending) -> Count:
    """How often a probe was hit once it was disabled."""
    probes = ending.account.ledger["probes"].values()
    hooks = (hook for probe in probes for hook in probe["hooks"])
    return add_counts(side["expired"] for hook in hooks for side in hook["sides"].values())


def choose_exit_code(ending: Ending, verdict: LedgerVerdict, faults: Faults, limits: Limits) -> int:
    """The exit code: 0 done, 2 plan or usage, 3 host, 4 incomplete, 5 workload failed, 6 internal
    or cleanup failure, 130 interrupted.

    The most serious one is chosen: an error of this program or something left in the kernel, then
    the signal (128 + its number, as in shells: 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP), then the
    workload, then the data: losses, an end by limits.cpu, limits.events or limits.output, or a
    failed output. Completeness "unknown" is reported but fails nothing.

    `limits.incomplete: allow` is for losses that run.finished reports, and for runs that are to end
    with the first so many records. It does not cover a run that never began or that limits.cpu
    ended, or one whose output failed.
    """
    if faults.errors:
        return faults.exit_code
    if faults.left_behind or verdict.violations:
        return 6
    if ending.outcome == "interrupted":
        return 128 + (ending.ended_by or signal.SIGINT)
    if ending.command is not None and ending.command.failed:
        return 5
    if ending.output_failed or ending.armed_at is None or ending.outcome == "cost":
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
