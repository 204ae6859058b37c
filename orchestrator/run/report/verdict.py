"""What a ledger means: whether the run is complete, and where all events went when none was seen.

What counts as lost is declared with the counts (accounting.vocabulary). What the plan's own bounds
held back, and records that `limits.output` left unwritten, are in the ledger but were asked for:
they make no run incomplete. That a bound ended a run before its time does (report.finish).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from orchestrator.accounting.count import UNKNOWN, Count, add_counts, at_least, is_known
from orchestrator.accounting.losses import LossCount, losses_of_ledger
from orchestrator.accounting.vocabulary import (
    METRIC,
    NOTE,
    RECORDS,
    RUN,
    SIDE,
    SIDE_DISPOSITIONS,
    SPAN,
    STACKS,
    HookLedger,
    Ledger,
    LedgerRow,
    ProbeLedger,
    RowKind,
)
from orchestrator.compile.program import ResolvedTarget
from orchestrator.plan.model import TASK_LISTS
from orchestrator.run.report.ledger import add_accepted, find_imbalances
from orchestrator.values import dataclass

__all__ = ["LOSS_TEXTS", "Completeness", "LedgerVerdict", "Loss", "Share", "describe_losses"]
__all__ += ["explain_nothing_seen", "judge_ledger"]

#: Where data was lost: the buffer was full (ring), the output failed (output), the kernel did not
#: run the program (missed), a map was full or busy (map).
LossReason = Literal["ring", "output", "missed", "map"]
Completeness = bool | Literal["unknown"]
Share = Literal["all", "part", "unknown"]

_UNKNOWN_LOSS: Mapping[LossReason, str] = {
    "ring": "it is not known how many records were lost because the buffer was full",
    "output": "it is not known how many records were lost because writing the output failed",
    "missed": "it is not known how often {part} happened and the kernel did not run the probe",
    "map": "it is not known how much was lost because a map was full",
}
#: What can be missed uncounted, and how likely that is, by mechanism.
_UNSEEN: Mapping[str, str] = {
    "perf tracepoint": "only inside the handler of another probe on that CPU, which is rare",
    "perf clock": "only while another BPF program runs on that CPU, which takes microseconds",
    "perf event": "only while another BPF program runs on that CPU, or where the kernel throttles "
    "interrupts",
    "kprobe PMU": "inside the handler of another probe, which is rare, and more returns than the "
    "kernel has room for, which is common where many threads wait in the function",
    "kprobe multi": "only inside the handler of another probe on that CPU, which is rare, and is "
    "counted of all functions of a link together",
    "uprobe multi": "only calls deeper than the kernel follows, which is rare",
    "uprobe PMU": "only calls deeper than the kernel follows, which is rare",
}
#: For each count that is a loss: where it was lost, and a text to follow the number. `{part}`: the
#: attach point or metric.
LOSS_TEXTS: Mapping[tuple[RowKind, str], tuple[LossReason, str]] = {
    (RUN, "children_lost"): (
        "map",
        "descendants of the command could not be followed: the task map was full",
    ),
    (RUN, "lost_unattributed"): (
        "ring",
        "events were lost because the buffer was full; of which probes is not known",
    ),
    (STACKS, "map_full"): (
        "map",
        "stacks were lost: no room for more different ones; raise limits.memory",
    ),
    (STACKS, "map_busy"): (
        "map",
        "stacks were lost: the kernel had no scratch memory or no lock for them",
    ),
    (SIDE, "kernel_missed"): (
        "missed",
        "times {part} happened and the kernel did not run the probe",
    ),
    (SIDE, "map_full"): ("map", "calls of {part} could not be followed: no room in the map"),
    (SIDE, "too_deep"): (
        "missed",
        "calls of {part} could not be followed: the kernel sees at most 64 nested returns of user "
        "functions in a thread",
    ),
    (RECORDS, "ring_lost"): ("ring", "records were lost: the buffer was full"),
    (RECORDS, "undelivered"): ("output", "records were lost: writing the output failed"),
    (METRIC, "map_busy"): (
        "map",
        "updates of {part} were lost: the kernel could not update the map",
    ),
    (METRIC, "ring_lost"): ("ring", "updates of {part} were lost: the buffer was full"),
    (SPAN, "map_full"): (
        "map",
        "starts were lost: the map was full; raise max_open, or start fewer",
    ),
    (NOTE, "full"): (
        "map",
        "times the note was not kept: the map was full; raise its max, or drop it sooner",
    ),
}
_RECURSION = ": it was running on that CPU already, nested or preempted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """One way in which data was, or may have been, lost. `owner`: the probe or span; None: the run
    as a whole; `detail`: a text to follow the number, `unknown`: one for an unknown number;
    `is_record`: only a record is lost, and its event is counted; `is_repeated`: another one has
    the same events."""

    owner: str | None
    reason: LossReason
    count: Count
    detail: str
    unknown: str
    is_record: bool = False
    is_repeated: bool = False

    def __str__(self) -> str:
        known = is_known(self.count)
        text = f"{self.count:,} {self.detail}" if known else self.unknown
        return f"{self.owner}: {text}" if self.owner else text


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerVerdict:
    """`complete`, why it is not true, and `lost` in all. `violations` are identities that do not
    hold: a fault of this program or of the kernel's counters. `counted`: whether every event is in
    the counts, whatever became of its record."""

    complete: Completeness
    reasons: tuple[str, ...]
    lost: Count
    violations: tuple[str, ...]
    counted: Share = "all"

    def spoil(self, *reasons: str, counted: bool = False) -> "LedgerVerdict":
        """This verdict on a run that is not complete for further reasons, which come first;
        `counted`: the events are in the counts all the same."""
        return replace(
            self,
            complete=False,
            reasons=(*reasons, *self.reasons),
            counted=self.counted if counted else "part",
        )


def judge_ledger(
    ledger: Ledger, undelivered: Mapping[str, int], *, output_limited: bool = False
) -> LedgerVerdict:
    """The verdict on a run. `undelivered`: by probe or span, records that the output did not take;
    no loss when `output_limited`, that is when limits.output was reached."""
    violations = tuple(find_imbalances(ledger, undelivered))
    losses = list(describe_losses(ledger, {} if output_limited else undelivered))
    once = [loss for loss in losses if not loss.is_repeated]
    known = [loss for loss in once if loss.count not in (0, UNKNOWN)]
    unknown = [loss for loss in once if loss.count == UNKNOWN]
    return LedgerVerdict(
        complete=False if known or violations else (UNKNOWN if unknown else True),
        reasons=tuple(dict.fromkeys((*violations, *map(str, known), *map(str, unknown)))),
        lost=add_counts(loss.count for loss in once),
        violations=violations,
        counted=_judge_counts(losses, violations),
    )


def _judge_counts(losses: Sequence["Loss"], violations: Sequence[str]) -> Share:
    """Whether the events are counted: a record that is lost is counted all the same."""
    uncounted = [loss.count for loss in losses if not loss.is_record]
    if violations or any(count not in (0, UNKNOWN) for count in uncounted):
        return "part"
    return "unknown" if UNKNOWN in uncounted else "all"


def describe_losses(ledger: Ledger, undelivered: Mapping[str, int]) -> Iterator[Loss]:
    """Every way to lose data, in a fixed order, also those that lost nothing. `undelivered` as in
    losses_of_ledger."""
    for loss in losses_of_ledger(ledger, undelivered):
        reason, detail = LOSS_TEXTS[loss.kind, loss.name]
        text = detail.format(part=loss.part) + (_RECURSION if _by_recursion(loss) else "")
        yield Loss(
            owner=loss.owner,
            reason=reason,
            count=loss.lost,
            detail=text,
            unknown=_describe_unknown(reason, loss),
            is_record=loss.kind is RECORDS,
            is_repeated=loss.is_repeated,
        )


def _describe_unknown(reason: LossReason, loss: LossCount) -> str:
    text = _UNKNOWN_LOSS[reason].format(part=loss.part)
    likely = _UNSEEN.get(loss.mechanism, "") if reason == "missed" else ""
    return f"{text}: {likely}" if likely else text


def _by_recursion(loss: LossCount) -> bool:
    """Whether recursion is the cause of all that was missed."""
    return loss.name == "kernel_missed" and loss.lost == loss.row["recursion_misses"]


# ---------------------------------------------------------------- nothing seen


#: The plan names no target, so that the tasks of probeplan are all that can be left out.
_OWN = "probeplan's own events, left out by target.exclude_self"
_UNREAD = "a condition on what cannot be read is false: user(p) reads a pointer to user memory"


def explain_nothing_seen(ledger: Ledger, target: ResolvedTarget) -> str | None:
    """Where all events went, when no probe accepted any; None when something was seen."""
    probes = ledger["probes"]
    if any(add_accepted(probe["hooks"]) != 0 for probe in probes.values()):
        return None
    filtering = [name for name, probe in probes.items() if _count_fate(probe, "filtered") != 0]
    failed = at_least(ledger["faulted"]) if filtering else 0
    reads = f"{failed:,} memory read{'' if failed == 1 else 's'} failed"
    note = f" ({reads})" if failed and len(filtering) == 1 else ""
    fates = [f"{name} {_fate_text(probe, target, note)}" for name, probe in probes.items()]
    if failed:
        fates += [] if note else [reads]
        fates.append(_UNREAD)
    return "; ".join(fates)


def _count_fate(probe: ProbeLedger, fate: str) -> Count:
    """How many events of a probe had this fate, on all its sides."""
    sides = (side for hook in probe["hooks"] for side in hook["sides"].values())
    return add_counts(side[fate] for side in sides)


def _fate_text(probe: ProbeLedger, target: ResolvedTarget, note: str) -> str:
    """`note`: what follows events that `where` rejected, about reads that failed."""
    if not probe["hooks"]:
        return "is attached nowhere"
    fired = add_counts(_first_side(hook)["fired"] for hook in probe["hooks"] if hook["sides"])
    if fired == 0:
        return "fired 0 times"
    fates = {
        name: count
        for name in SIDE_DISPOSITIONS
        if name != "accepted" and (count := _count_fate(probe, name)) != 0
    }
    if len(fates) == 1 and fired in fates.values() and is_known(fired):
        return f"fired {fired:,} times: all {_fate_words(next(iter(fates)), target, note)}"
    parts = [
        f"{_number(count)}{'' if is_known(count) else ' events'} " + _fate_words(name, target, note)
        for name, count in fates.items()
    ]
    return f"fired {_number(fired)} times: {', '.join(parts)}"


def _first_side(hook: HookLedger) -> LedgerRow:
    """The side by which an event comes in: entry or hit."""
    return next(iter(hook["sides"].values()))


def _number(count: Count) -> str:
    return f"{count:,}" if is_known(count) else "an unknown number of"


def _fate_words(disposition: str, target: ResolvedTarget, note: str) -> str:
    match disposition:
        case "filtered":
            return f"filtered by where{note}"
        case "not_target":
            tests = " and ".join(_target_tests(target))
            return f"filtered by {tests}" if tests else _OWN
        case "expired":
            return "after the deadline"
        case "sampled_out":
            return "skipped by sampling"
        case "unpaired":
            return "returns whose entry was not accepted or not seen"
        case "too_deep":
            return "nested too deep"
        case _:
            return "dropped because the map was full"


def _target_tests(target: ResolvedTarget) -> Iterator[str]:
    for name in (*TASK_LISTS, "children"):
        if getattr(target, name):
            yield f"target.{name}"
    for name in TASK_LISTS:
        if getattr(target.left_out, name):
            yield f"target.not.{name}"
