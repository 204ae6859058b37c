"""What a ledger means: is it complete, and where did everything go when nothing was seen.

Lost is what the kernel, a full map or the output lost. What the plan's own bounds held back
(`rate_limited`, `over_cap`, `sampled_out`, keys in the cell `other`, and records that
`limits.output` left unwritten) stands in the ledger, but was asked for: it makes no run incomplete.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from orchestrator.compile.program import ResolvedTarget
from orchestrator.run.report.ledger import (
    DISPOSITIONS,
    Entry,
    HookLedger,
    Known,
    Ledger,
    ProbeLedger,
    SpanLedger,
    accepted_by,
    balance,
    total,
)

__all__ = ["Loss", "Verdict", "explain_nothing_seen", "judge", "losses"]

Reason = Literal["ring", "output", "missed", "map"]


_UNKNOWN: Mapping[Reason, str] = {
    "ring": "it is not known how many records were lost for want of room in the buffer",
    "output": "it is not known how many records the output did not take",
    "missed": "it is not known how often the event happened and the kernel did not run the probe",
    "map": "it is not known how much was lost for want of room in a map",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """One way in which data was, or may have been, lost. `probe` None: not one probe's."""

    probe: str | None
    reason: Reason
    lost: Known
    detail: str

    def __str__(self) -> str:
        told = _UNKNOWN[self.reason] if self.lost == "unknown" else f"{self.lost:,} {self.detail}"
        return f"{self.probe}: {told}" if self.probe else told


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`complete`, why it is not true, and `lost` in all. `violations` are identities that do not
    hold: a fault of this program or of the kernel's counters."""

    complete: bool | Literal["unknown"]
    reasons: tuple[str, ...]
    lost: Known
    violations: tuple[str, ...]


def judge(
    ledger: Ledger, undelivered: Mapping[str, int], *, output_limited: bool = False
) -> Verdict:
    """Judge a run. `undelivered`: by probe, records that the output did not take; no loss when
    `output_limited`, that is when limits.output was reached."""
    violations = tuple(balance(ledger, undelivered))
    found = list(losses(ledger, {} if output_limited else undelivered))
    lost = [loss for loss in found if loss.lost not in (0, "unknown")]
    unknown = [loss for loss in found if loss.lost == "unknown"]
    return Verdict(
        complete=False if lost or violations else ("unknown" if unknown else True),
        reasons=tuple(dict.fromkeys((*violations, *map(str, lost), *map(str, unknown)))),
        lost=total(loss.lost for loss in found),
        violations=violations,
    )


def losses(ledger: Ledger, undelivered: Mapping[str, int]) -> Iterator[Loss]:
    """Every way to lose data, in a fixed order, also those that lost nothing."""
    yield Loss(
        probe=None,
        reason="map",
        lost=ledger["children_lost"],
        detail="descendants of the command could not be followed: the task map was full",
    )
    yield Loss(
        probe=None,
        reason="ring",
        lost=ledger["lost_unattributed"],
        detail="events were lost for want of room in the buffer; of which probes is not known",
    )
    yield from _of_stacks(ledger.get("stacks", {}))
    for name, probe in ledger["probes"].items():
        yield from _of_probe(name, probe, undelivered.get(name, 0))
    for name, span in ledger["spans"].items():
        full = "starts found no room: raise max_open, or start fewer"
        yield Loss(probe=name, reason="map", lost=span["counts"]["map_full"], detail=full)
        yield from _of_made(name, span, undelivered.get(name, 0))


def _of_stacks(stacks: Entry) -> Iterator[Loss]:
    for why, detail in (
        ("map_full", "stacks were lost: no room for more different ones; raise limits.memory"),
        ("map_busy", "stacks were lost: the kernel had no scratch memory or no lock for them"),
    ):
        yield Loss(probe=None, reason="map", lost=stacks.get(why, 0), detail=detail)


def _of_probe(name: str, probe: ProbeLedger, undelivered: int) -> Iterator[Loss]:
    for hook in probe["hooks"]:
        yield from _of_hook(name, hook)
    yield from _of_made(name, probe, undelivered)


def _of_made(name: str, made: ProbeLedger | SpanLedger, undelivered: int) -> Iterator[Loss]:
    if emit := made["emit"]:
        full = "records were lost: no room in the buffer"
        yield Loss(probe=name, reason="ring", lost=emit["ring_lost"], detail=full)
        yield Loss(
            probe=name,
            reason="output",
            lost=undelivered,
            detail="records were lost: the output took no more",
        )
    for metric, entry in made["metrics"].items():
        busy = f"updates of {metric} were lost: the kernel could not update the map"
        yield Loss(probe=name, reason="map", lost=entry["map_busy"], detail=busy)


def _of_hook(name: str, hook: HookLedger) -> Iterator[Loss]:
    for side, entry in hook["sides"].items():
        at = f"{hook['to']} ({side})" if side != "hit" else hook["to"]
        missed = f"times {at} happened and the kernel did not run the probe"
        if entry["kernel_missed"] == entry["recursion_misses"]:
            missed += ": it was running on that CPU already, nested or preempted"
        yield Loss(probe=name, reason="missed", lost=entry["kernel_missed"], detail=missed)
        full = f"calls of {at} could not be followed: no room in the map"
        yield Loss(probe=name, reason="map", lost=entry["map_full"], detail=full)


# ---------------------------------------------------------------- nothing seen


def explain_nothing_seen(ledger: Ledger, target: ResolvedTarget) -> str | None:
    """Where all events went, when no probe accepted any; None when something was seen."""
    probes = ledger["probes"]
    if any(accepted_by(probe["hooks"]) != 0 for probe in probes.values()):
        return None
    return "; ".join(f"{name} {_went(probe, target)}" for name, probe in probes.items())


def _went(probe: ProbeLedger, target: ResolvedTarget) -> str:
    if not probe["hooks"]:
        return "is attached nowhere"
    fired = total(_first_side(hook)["fired"] for hook in probe["hooks"] if hook["sides"])
    if fired == 0:
        return "fired 0 times"
    sides = [side for hook in probe["hooks"] for side in hook["sides"].values()]
    ends = [(end, total(side[end] for side in sides)) for end in DISPOSITIONS[:-1]]
    told = [(end, count) for end, count in ends if count != 0]
    if len(told) == 1 and told[0][1] == fired != "unknown":
        return f"fired {_number(fired)} times: all {_words(told[0][0], target)}"
    parts = [
        f"{_number(count)} {'events ' * (count == 'unknown')}{_words(end, target)}"
        for end, count in told
    ]
    return f"fired {_number(fired)} times: {', '.join(parts)}"


def _first_side(hook: HookLedger) -> Entry:
    """The side by which an event comes in: entry or hit."""
    return next(iter(hook["sides"].values()))


def _number(count: Known) -> str:
    return "an unknown number of" if count == "unknown" else f"{count:,}"


def _words(end: str, target: ResolvedTarget) -> str:
    match end:
        case "filtered":
            return "filtered by where"
        case "not_target":
            return f"filtered by {' and '.join(_tests(target)) or 'target'}"
        case "expired":
            return "after the deadline"
        case "sampled_out":
            return "left out by sampling"
        case "unpaired":
            return "returns whose entry was not seen"
        case _:
            return "without room in the map"


def _tests(target: ResolvedTarget) -> Iterator[str]:
    for name in ("pid", "tid", "uid", "comm", "cgroup", "children"):
        if getattr(target, name):
            yield f"target.{name}"
