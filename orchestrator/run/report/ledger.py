"""The ledger: where every event of a run went, and whether the accounts balance.

A count that the kernel does not tell is the word "unknown", never zero; no identity can be proved
or refuted with it.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NotRequired, TypedDict, cast

from orchestrator.backends.protocol import (
    AttachedHook,
    Count,
    Counts,
    EmitCounts,
    MetricCounts,
    SideCounts,
    SpanCounts,
)
from orchestrator.compile.program import Emit, Hook, ProbeProgram, Program, SpanProgram

__all__ = ["Delivery", "HookLedger", "Known", "Ledger", "ProbeLedger", "balance", "ledger_of"]
__all__ += ["accepted_by", "total"]

Known = int | Literal["unknown"]
Entry = Mapping[str, Known]

#: How an entry, return or hit can end; each fired event ends in exactly one of them.
DISPOSITIONS = (
    *("expired", "not_target", "filtered", "sampled_out", "unpaired", "map_full"),
    "accepted",
)
SIDE_KEYS = ("fired", *DISPOSITIONS, "kernel_missed", "recursion_misses")
#: How a record can end, and how an event that a metric is offered can end.
RECORD_ENDS = ("rate_limited", "over_cap", "ring_lost", "recorded")
#: How a span that was started ends, and what is made of those that end.
SPAN_FATES = ("ended", "cancelled", "replaced", "not_target", "in_flight")
SPAN_ENDS = ("filtered", "accepted")
SPAN_KEYS = (
    *("started", *SPAN_FATES, *SPAN_ENDS),
    *("raced", "repeated", "no_start", "map_full"),
)
METRIC_ENDS = ("counted", "filtered", "map_full", "map_busy")


class HookLedger(TypedDict):
    """One attach point: `sides` by name (entry and return, or hit), each with SIDE_KEYS. Where
    calls are paired, `in_flight` are those that were accepted and whose return was not seen."""

    to: str
    mechanism: str
    sides: dict[str, Entry]
    in_flight: NotRequired[Known]


class ProbeLedger(TypedDict):
    """One probe: its attach points, its records (None: it emits none), its metrics by name."""

    hooks: list[HookLedger]
    emit: Entry | None
    metrics: dict[str, Entry]


class SpanLedger(TypedDict):
    """One span or thing outstanding: what became of its starts and of its ends (`counts`, with
    SPAN_KEYS), its records (None: it emits none), its metrics by name."""

    counts: Entry
    emit: Entry | None
    metrics: dict[str, Entry]


class Ledger(TypedDict):
    """All accounts of a run, as the log schema has them; `stacks` where stacks are taken."""

    probes: dict[str, ProbeLedger]
    spans: dict[str, SpanLedger]
    faulted: Known
    truncated: Known
    divisions_by_zero: Known
    children_lost: Known
    lost_unattributed: Known
    stacks: NotRequired[Entry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What the reader did with the records of one Emit: `delivered` were written whole, `trimmed`
    came over the cap and were dropped, `undelivered` the output did not take."""

    delivered: int = 0
    trimmed: int = 0
    undelivered: int = 0


def ledger_of(
    program: Program,
    attached: Iterable[AttachedHook],
    counts: Counts,
    deliveries: Mapping[int, Delivery],
) -> Ledger:
    """The ledger of a run from the backend's counts and, by Emit.index, the reader's."""
    mechanisms = {hook.hook: hook.mechanism for hook in attached}
    ledger = Ledger(
        probes={
            probe.name: _probe(probe, mechanisms, counts, deliveries) for probe in program.probes
        },
        spans={span.name: _span(span, counts, deliveries) for span in program.spans},
        faulted=_known(counts.faulted),
        truncated=_known(counts.truncated),
        divisions_by_zero=_known(counts.divisions_by_zero),
        children_lost=_known(counts.children_lost),
        lost_unattributed=_known(counts.lost_unattributed),
    )
    if counts.stacks is not None:
        ledger["stacks"] = dataclasses.asdict(counts.stacks)
    return ledger


def total(counts: Iterable[Known]) -> Known:
    """The sum, unknown when a part of it is."""
    found = 0
    for count in counts:
        if count == "unknown":
            return "unknown"
        found += count
    return found


def accepted_by(hooks: Iterable[HookLedger]) -> Known:
    """What the last sides of some attach points accepted: what records and metrics are offered."""
    return total(list(hook["sides"].values())[-1]["accepted"] for hook in hooks if hook["sides"])


def _known(count: Count) -> Known:
    return "unknown" if count is None else count


def _probe(
    probe: ProbeProgram,
    mechanisms: Mapping[int, str],
    counts: Counts,
    deliveries: Mapping[int, Delivery],
) -> ProbeLedger:
    hooks = [
        _hook(hook, mechanisms[hook.id], counts.sides)
        for hook in probe.hooks
        if hook.id in mechanisms
    ]
    return ProbeLedger(
        hooks=hooks,
        emit=_emit(probe, accepted_by(hooks), counts.emits, deliveries),
        metrics={spec.name: _metric(spec.index, counts.metrics) for spec in probe.metrics},
    )


def _hook(hook: Hook, mechanism: str, counts: Sequence[SideCounts]) -> HookLedger:
    found = {side.side: side for side in counts if side.hook == hook.id}
    sides = {name: _entry(found[name], SIDE_KEYS) for name in hook.sides if name in found}
    ledger = HookLedger(to=hook.label, mechanism=mechanism, sides=sides)
    if "entry" in found:
        ledger["in_flight"] = _known(found["entry"].in_flight)
    return ledger


def _emit(
    probe: ProbeProgram,
    accepted: Known,
    counts: Iterable[EmitCounts],
    deliveries: Mapping[int, Delivery],
) -> Entry | None:
    """EmitCounts.probe is the probe's index; deliveries go by the index of its Emit."""
    if probe.emit is None:
        return None
    found = [one for one in counts if one.probe == probe.index]
    entry = _entry(found[0] if found else EmitCounts(probe=probe.index), RECORD_ENDS)
    return _delivered(entry, accepted, probe.emit, deliveries)


def _span(span: SpanProgram, counts: Counts, deliveries: Mapping[int, Delivery]) -> SpanLedger:
    found = [one for one in counts.spans if one.span == span.index]
    one = found[0] if found else SpanCounts(span=span.index)
    entry = _entry(one, SPAN_KEYS)
    records = None
    if span.emit is not None:
        records = _delivered(_entry(one, RECORD_ENDS), entry["accepted"], span.emit, deliveries)
    return SpanLedger(
        counts=entry,
        emit=records,
        metrics={spec.name: _metric(spec.index, counts.metrics) for spec in span.metrics},
    )


def _delivered(
    entry: Entry, accepted: Known, emit: Emit, deliveries: Mapping[int, Delivery]
) -> Entry:
    """The kernel's account of records with the reader's."""
    read = deliveries.get(emit.index, Delivery())
    return {
        "accepted": accepted,
        **entry,
        "over_cap": total([entry["over_cap"], read.trimmed]),
        "recorded": total([entry["recorded"], -read.trimmed]),
        "delivered": read.delivered,
    }


def _metric(index: int, counts: Iterable[MetricCounts]) -> Entry:
    for one in counts:
        if one.metric == index:
            return _entry(one, METRIC_ENDS)
    return dict.fromkeys(METRIC_ENDS, cast("Known", "unknown"))


def _entry(
    counts: SideCounts | EmitCounts | MetricCounts | SpanCounts, keys: Iterable[str]
) -> Entry:
    fields = {field.name for field in dataclasses.fields(counts)}
    return {key: _known(getattr(counts, key)) for key in keys if key in fields}


# ---------------------------------------------------------------- identities


def balance(ledger: Ledger, undelivered: Mapping[str, int]) -> list[str]:
    """The identities that do not hold, each with its numbers. `undelivered`: by probe, records
    that were read and that the output did not take."""
    found: list[str] = []
    for name, span in ledger["spans"].items():
        found += _span_balance(name, span, undelivered.get(name, 0))
    for name, probe in ledger["probes"].items():
        for hook in probe["hooks"]:
            for side, entry in hook["sides"].items():
                found += _unequal(f"{name}: {hook['to']}: {side}", entry, "fired", DISPOSITIONS)
            found += _open_calls(f"{name}: {hook['to']}", hook)
        accepted = accepted_by(probe["hooks"])
        found += _made_balance(name, accepted, probe, undelivered.get(name, 0))
    return found


def _span_balance(name: str, span: SpanLedger, undelivered: int) -> list[str]:
    counts = span["counts"]
    judged = {**counts, "gone": total([counts["ended"], counts["raced"]])}
    ends = [] if counts["accepted"] == counts["filtered"] == 0 else SPAN_ENDS
    return [
        *_unequal(f"{name}: span", counts, "started", SPAN_FATES),
        *(_unequal(f"{name}: span", judged, "gone", ends) if ends else []),
        *_made_balance(name, counts["accepted"], span, undelivered),
    ]


def _made_balance(
    name: str, accepted: Known, made: ProbeLedger | SpanLedger, undelivered: int
) -> list[str]:
    """The identities of records and metrics that `accepted` events were offered to."""
    found: list[str] = []
    if emit := made["emit"]:
        missing: Entry = {**emit, "undelivered": undelivered}
        found += _unequal(f"{name}: records", missing, "accepted", RECORD_ENDS)
        found += _unequal(f"{name}: records", missing, "recorded", ("delivered", "undelivered"))
    for metric, entry in made["metrics"].items():
        offered: Entry = {"accepted": accepted, **entry}
        found += _unequal(f"{name}: metric {metric}", offered, "accepted", METRIC_ENDS)
    return found


def _open_calls(where: str, hook: HookLedger) -> list[str]:
    """No call returns that was not accepted at its entry."""
    calls = hook.get("in_flight", 0)
    if calls == "unknown" or calls >= 0:
        return []
    return [f"{where}: {-calls} calls more returned than were accepted at the entry"]


def _unequal(where: str, entry: Entry, whole: str, parts: Sequence[str]) -> list[str]:
    there = total(entry[part] for part in parts)
    if "unknown" in (entry[whole], there) or entry[whole] == there:
        return []
    told = " + ".join(f"{part} {entry[part]}" for part in parts)
    return [f"{where}: {whole} {entry[whole]} is not {told}"]
