"""The ledger: where every event of a run went, and whether the accounts balance.

With an unknown count no identity can be proved or refuted.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from orchestrator.accounting.count import UNKNOWN, Count, add_counts, is_known, subtract_counts
from orchestrator.accounting.vocabulary import (
    METRIC,
    NOTE,
    ONCE_DISPOSITIONS,
    RECORD_DISPOSITIONS,
    RECORDS,
    SIDE,
    SPAN,
    HookLedger,
    Identity,
    Ledger,
    LedgerRow,
    MakerLedger,
    ProbeLedger,
    SpanLedger,
)
from orchestrator.backends.protocol import (
    AttachedHook,
    Counts,
    EmitCounts,
    MetricCounts,
    NoteCounts,
    SideCounts,
    SpanCounts,
)
from orchestrator.compile.program import Emit, Hook, NoteProgram, ProbeProgram, Program, SpanProgram
from orchestrator.values import dataclass

__all__ = ["Delivery", "add_accepted", "find_imbalances", "make_ledger"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What the reader did with the records of one Emit: `delivered` were written whole, `trimmed`
    came over the cap and were dropped, `undelivered` the output did not take."""

    delivered: int = 0
    trimmed: int = 0
    undelivered: int = 0


def make_ledger(
    program: Program,
    attached: Iterable[AttachedHook],
    counts: Counts,
    deliveries: Mapping[int, Delivery],
) -> Ledger:
    """The ledger of a run, from the backend's counts and the reader's deliveries by Emit.index."""
    mechanisms = {hook.hook: hook.mechanism for hook in attached}
    ledger = Ledger(
        probes={
            probe.name: _probe_ledger(probe, mechanisms, counts, deliveries)
            for probe in program.probes
        },
        spans={span.name: _span_ledger(span, counts, deliveries) for span in program.spans},
        faulted=counts.faulted,
        truncated=counts.truncated,
        divisions_by_zero=counts.divisions_by_zero,
        children_lost=counts.children_lost,
        lost_unattributed=counts.lost_unattributed,
    )
    if program.notes:
        ledger["notes"] = {note.name: _note_row(note, counts) for note in program.notes}
    if counts.stacks is not None:
        ledger["stacks"] = dataclasses.asdict(counts.stacks)
    return ledger


def add_accepted(hooks: Iterable[HookLedger]) -> Count:
    """What the last sides of some attach points accepted: the events that records and metrics are
    made of."""
    return add_counts(
        list(hook["sides"].values())[-1]["accepted"] for hook in hooks if hook["sides"]
    )


def _probe_ledger(
    probe: ProbeProgram,
    mechanisms: Mapping[int, str],
    counts: Counts,
    deliveries: Mapping[int, Delivery],
) -> ProbeLedger:
    hooks = [
        _hook_ledger(hook, mechanisms[hook.id], counts.sides)
        for hook in probe.hooks
        if hook.id in mechanisms
    ]
    return ProbeLedger(
        hooks=hooks,
        emit=_probe_records(probe, add_accepted(hooks), counts.emits, deliveries),
        metrics={spec.name: _metric_row(spec.index, counts.metrics) for spec in probe.metrics},
    )


def _hook_ledger(hook: Hook, mechanism: str, counts: Sequence[SideCounts]) -> HookLedger:
    by_side = {side.side: side for side in counts if side.hook == hook.id}
    sides = {name: _row(by_side[name], SIDE.counts) for name in hook.sides if name in by_side}
    ledger = HookLedger(to=hook.label, mechanism=mechanism, sides=sides)
    if entry := by_side.get("entry"):
        ledger["abandoned"], ledger["execed"] = entry.abandoned, entry.execed
        ledger["exited"], ledger["in_flight"] = entry.exited, entry.in_flight
    elif hook.traits.space == "user" and hook.traits.moment == "return":
        ledger["in_flight"] = by_side["hit"].in_flight
    return ledger


def _probe_records(
    probe: ProbeProgram,
    accepted: Count,
    emits: Iterable[EmitCounts],
    deliveries: Mapping[int, Delivery],
) -> LedgerRow | None:
    """EmitCounts.probe is the probe's index; deliveries are by the index of its Emit."""
    if probe.emit is None:
        return None
    default = EmitCounts(probe=probe.index)
    counts = next((emit for emit in emits if emit.probe == probe.index), default)
    return _records_row(counts, accepted, probe.emit, deliveries)


def _span_ledger(
    span: SpanProgram, counts: Counts, deliveries: Mapping[int, Delivery]
) -> SpanLedger:
    default = SpanCounts(span=span.index)
    own = next((row for row in counts.spans if row.span == span.index), default)
    return SpanLedger(
        counts=_row(own, SPAN.counts),
        emit=_records_row(own, own.accepted, span.emit, deliveries) if span.emit else None,
        metrics={spec.name: _metric_row(spec.index, counts.metrics) for spec in span.metrics},
    )


def _note_row(note: NoteProgram, counts: Counts) -> LedgerRow:
    default = NoteCounts(note=note.index)
    own = next((row for row in counts.notes if row.note == note.index), default)
    return _row(own, NOTE.counts)


def _records_row(
    counts: EmitCounts | SpanCounts,
    accepted: Count,
    emit: Emit,
    deliveries: Mapping[int, Delivery],
) -> LedgerRow:
    """The kernel's account of records with the reader's."""
    delivery = deliveries.get(emit.index, Delivery())
    once = {name: getattr(counts, name) for name in ONCE_DISPOSITIONS if _is_once(counts)}
    return {
        "accepted": accepted,
        **once,
        **_row(counts, RECORD_DISPOSITIONS),
        "over_cap": add_counts([counts.over_cap, delivery.trimmed]),
        "recorded": subtract_counts(counts.recorded, delivery.trimmed),
        "delivered": delivery.delivered,
    }


def _is_once(counts: EmitCounts | SpanCounts) -> bool:
    return isinstance(counts, EmitCounts) and counts.repeated is not None


def _metric_row(index: int, counts: Iterable[MetricCounts]) -> LedgerRow:
    for metric in counts:
        if metric.metric == index:
            return _row(metric, METRIC.counts)
    return dict.fromkeys(METRIC.counts, UNKNOWN)


def _row(
    counts: SideCounts | EmitCounts | MetricCounts | SpanCounts | NoteCounts, names: Iterable[str]
) -> LedgerRow:
    return {name: getattr(counts, name) for name in names}


# ---------------------------------------------------------------- identities


def find_imbalances(ledger: Ledger, undelivered: Mapping[str, int]) -> list[str]:
    """The identities that do not hold, each with its numbers. `undelivered`: by probe or span,
    records that were read and that the output did not take."""
    imbalances: list[str] = []
    for name, span in ledger["spans"].items():
        imbalances += _span_imbalances(name, span["counts"])
        accepted = span["counts"]["accepted"]
        imbalances += _maker_imbalances(name, accepted, span, undelivered.get(name, 0))
    for name, note in ledger.get("notes", {}).items():
        imbalances += _imbalances(f"{name}: note", note, NOTE.identities)
    for name, probe in ledger["probes"].items():
        for hook in probe["hooks"]:
            imbalances += _hook_imbalances(f"{name}: {hook['to']}", hook)
        accepted = add_accepted(probe["hooks"])
        imbalances += _maker_imbalances(name, accepted, probe, undelivered.get(name, 0))
    return imbalances


def _span_imbalances(name: str, row: LedgerRow) -> list[str]:
    """A span that nothing is made of is not judged at its end."""
    judged = row["accepted"] != 0 or row["filtered"] != 0
    identities = SPAN.identities if judged else SPAN.identities[:1]
    return _imbalances(f"{name}: span", row, identities)


def _maker_imbalances(
    name: str, accepted: Count, maker: MakerLedger, undelivered: int
) -> list[str]:
    """The identities of the records and metrics that are made of `accepted` events."""
    imbalances: list[str] = []
    if records := maker["emit"]:
        first = subtract_counts(
            records["accepted"], *(records.get(name, 0) for name in ONCE_DISPOSITIONS)
        )
        row: LedgerRow = {**records, "accepted": first, "undelivered": undelivered}
        imbalances += _imbalances(f"{name}: records", row, RECORDS.identities)
    for metric, counts in maker["metrics"].items():
        row = {"accepted": accepted, **counts}
        imbalances += _imbalances(f"{name}: metric {metric}", row, METRIC.identities)
    return imbalances


def _hook_imbalances(where: str, hook: HookLedger) -> list[str]:
    """Those of the sides; and no call returns that was not accepted at its entry."""
    imbalances: list[str] = []
    for side, row in hook["sides"].items():
        imbalances += _imbalances(f"{where}: {side}", row, SIDE.identities)
    open_calls = hook.get("in_flight", 0)
    if is_known(open_calls) and open_calls < 0:
        more = f"{where}: {-open_calls} calls more returned than were accepted at the entry"
        imbalances.append(more)
    return imbalances


def _imbalances(where: str, row: LedgerRow, identities: Iterable[Identity]) -> list[str]:
    return [
        f"{where}: {_sum_text(row, identity.whole)} is not {_sum_text(row, identity.parts)}"
        for identity in identities
        if not _may_hold(row, identity)
    ]


def _may_hold(row: LedgerRow, identity: Identity) -> bool:
    """True also where a count is unknown."""
    whole = add_counts(row[name] for name in identity.whole)
    parts = add_counts(row[name] for name in identity.parts)
    return whole == parts or not (is_known(whole) and is_known(parts))


def _sum_text(row: LedgerRow, names: Iterable[str]) -> str:
    return " + ".join(f"{name} {row[name]}" for name in names)
