"""The ledger as a flow (what became of events) and as tables."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from orchestrator.accounting.count import Count, add_counts, is_known, subtract_counts
from orchestrator.accounting.losses import losses_of_ledger
from orchestrator.accounting.vocabulary import (
    CALL_FATES,
    METRIC_DISPOSITIONS,
    ONCE_DISPOSITIONS,
    RECORD_DISPOSITIONS,
    SIDE_DISPOSITIONS,
    SPAN_FATES,
    Ledger,
)

__all__ = ["Flow", "LossRow", "MakerRow", "list_losses", "make_flow", "summarize_makers"]

#: The counts of the ledger in words.
WORDS: Mapping[str, str] = {
    "expired": "after the end",
    "not_target": "not the target",
    "filtered": "filtered by where",
    "sampled_out": "sampled out",
    "unpaired": "return without entry",
    "map_full": "no room in a map",
    "too_deep": "nested too deeply",
    "accepted": "kept",
    "abandoned": "left by a jump",
    "execed": "replaced by exec",
    "exited": "thread exited",
    "in_flight": "still open",
    "rate_limited": "over the rate limit",
    "over_cap": "over the cap on records",
    "ring_lost": "lost: buffer full",
    "recorded": "recorded",
    "delivered": "delivered",
    "undelivered": "not taken by the output",
    "kernel_missed": "missed by the kernel",
    "recursion_misses": "missed: already running on that CPU",
    "counted": "counted",
    "map_busy": "lost: map busy",
    "ended": "ended",
    "cancelled": "cancelled",
    "replaced": "replaced",
    "raced": "judged twice",
    "repeated": "started again",
    "keys_full": "no room for the key",
    "no_start": "end without start",
    "started": "started",
    "incomplete": "with missing frames or names",
    "children_lost": "children that were not followed",
    "lost_unattributed": "lost, of an unknown probe",
    "kept": "kept",
    "full": "not kept: no room for the key",
    "fired": "fired",
}

LedgerFields = Mapping[str, Any]


class Link(NamedTuple):
    """So many events went from one node to another. `is_loss`: they are lost."""

    source: str
    target: str
    events: int
    is_loss: bool


class Flow(NamedTuple):
    """What became of the events of one probe or span. `unknown`: counts that cannot be drawn."""

    owner: str
    links: Sequence[Link]
    unknown: Sequence[str]


class MakerRow(NamedTuple):
    """One probe or span in short."""

    name: str
    is_span: bool
    mechanisms: str
    fired: Count
    kept: Count
    delivered: Count | None
    lost: Count


class LossRow(NamedTuple):
    """One count that is a loss and not 0."""

    owner: str
    part: str
    what: str
    events: Count


_LOSSES = frozenset(
    {"map_full", "too_deep", "ring_lost", "kernel_missed", "undelivered", "map_busy"}
)


def make_flow(ledger: LedgerFields, name: str, *, output_limited: bool) -> Flow:
    """The flow of the probe or span `name`. `output_limited`: what the output did not take was
    held back by limits.output, and is no loss."""
    links: list[tuple[str, str, str, Count]] = []
    if (probe := ledger["probes"].get(name)) is not None:
        links.extend(_flow_of_hooks(probe["hooks"]))
        maker = probe
    else:
        maker = ledger["spans"][name]
        links.extend(_flow_of_span(maker["counts"]))
    links.extend(_flow_of_records(maker["emit"], output_limited=output_limited))
    drawn = [
        Link(source, target, count, field in _LOSSES and target != "held back by limits.output")
        for source, target, field, count in links
        if is_known(count) and count > 0
    ]
    unknown = [f"{source} → {target}" for source, target, _, count in links if not is_known(count)]
    return Flow(name, drawn, unknown)


_FlowStep = tuple[str, str, str, Count]


def _flow_of_hooks(hooks: Sequence[LedgerFields]) -> Iterator[_FlowStep]:
    """All attach points of a probe together."""
    first = [_choose_side(hook, first=True) for hook in hooks]
    paired = [hook for hook in hooks if "entry" in hook["sides"] and "return" in hook["sides"]]
    missed = add_counts(side["kernel_missed"] for side in first)
    yield "happened", "fired", "fired", _sum(first, "fired") if missed else 0
    yield "happened", WORDS["kernel_missed"], "kernel_missed", missed
    end = "entered" if paired else WORDS["accepted"]
    for field in SIDE_DISPOSITIONS:
        yield "fired", end if field == "accepted" else WORDS[field], field, _sum(first, field)
    if paired:
        yield from _flow_of_returns(paired)


def _flow_of_returns(hooks: Sequence[LedgerFields]) -> Iterator[_FlowStep]:
    """What became of calls that were accepted at their entry."""
    fates = {fate: add_counts(hook.get(fate, 0) for hook in hooks) for fate in CALL_FATES}
    returns = [hook["sides"]["return"] for hook in hooks]
    entered = [name for name in SIDE_DISPOSITIONS if name not in ("unpaired", "not_target")]
    ends = {**fates, **{field: _sum(returns, field) for field in entered}}
    for field, count in ends.items():
        yield "entered", WORDS[field], field, count


def _flow_of_span(counts: LedgerFields) -> Iterator[_FlowStep]:
    for fate in SPAN_FATES:
        yield "started", WORDS[fate], fate, counts[fate]
    for field in ("filtered", "accepted"):
        yield "ended", WORDS[field], field, counts[field]


def _flow_of_records(emit: LedgerFields | None, *, output_limited: bool) -> Iterator[_FlowStep]:
    if emit is None:
        return
    for field in ONCE_DISPOSITIONS:
        if field in emit:
            words = "not the first of its key" if field == "repeated" else WORDS[field]
            yield WORDS["accepted"], words, field, emit[field]
    for field in RECORD_DISPOSITIONS:
        yield WORDS["accepted"], WORDS[field], field, emit[field]
    yield WORDS["recorded"], WORDS["delivered"], "delivered", emit["delivered"]
    undelivered = subtract_counts(emit["recorded"], emit["delivered"])
    words = "held back by limits.output" if output_limited else WORDS["undelivered"]
    yield WORDS["recorded"], words, "undelivered", undelivered


def _sum(rows: Iterable[LedgerFields], field: str) -> Count:
    return add_counts(row[field] for row in rows)


def _choose_side(hook: LedgerFields, *, first: bool) -> LedgerFields:
    """The side on which a hook fires first, or the one that records are made of."""
    sides: LedgerFields = hook["sides"]
    order = ("entry", "hit", "return") if first else ("return", "hit", "entry")
    side: LedgerFields = next(sides[name] for name in order if name in sides)
    return side


# ---------------------------------------------------------------- tables


def summarize_makers(ledger: LedgerFields, *, output_limited: bool) -> list[MakerRow]:
    """A row for each probe and each span."""
    lost = _losses_by_owner(ledger, output_limited=output_limited)
    probes = [
        MakerRow(
            name,
            False,
            ", ".join(dict.fromkeys(hook["mechanism"] for hook in probe["hooks"])),
            _sum((_choose_side(hook, first=True) for hook in probe["hooks"]), "fired"),
            _sum((_choose_side(hook, first=False) for hook in probe["hooks"]), "accepted"),
            probe["emit"]["delivered"] if probe["emit"] else None,
            lost.get(name, 0),
        )
        for name, probe in ledger["probes"].items()
    ]
    spans = [
        MakerRow(
            name,
            True,
            "",
            span["counts"]["started"],
            span["counts"]["accepted"],
            span["emit"]["delivered"] if span["emit"] else None,
            lost.get(name, 0),
        )
        for name, span in ledger["spans"].items()
    ]
    return probes + spans


def list_losses(ledger: LedgerFields, *, output_limited: bool) -> list[LossRow]:
    """Every loss that is not 0, and every one that is unknown."""
    undelivered = {} if output_limited else _find_undelivered(ledger)
    return [
        LossRow(loss.owner or "the run", loss.part, WORDS.get(loss.name, loss.name), loss.lost)
        for loss in losses_of_ledger(cast("Ledger", ledger), undelivered)
        if not loss.is_repeated and (not is_known(loss.lost) or loss.lost)
    ]


def _losses_by_owner(ledger: LedgerFields, *, output_limited: bool) -> dict[str | None, Count]:
    undelivered = {} if output_limited else _find_undelivered(ledger)
    lost: dict[str | None, Count] = {}
    for loss in losses_of_ledger(cast("Ledger", ledger), undelivered):
        if not loss.is_repeated:
            lost[loss.owner] = add_counts((lost.get(loss.owner, 0), loss.lost))
    return lost


def _find_undelivered(ledger: LedgerFields) -> dict[str, Count]:
    makers = {**ledger["probes"], **ledger["spans"]}
    return {
        name: subtract_counts(maker["emit"]["recorded"], maker["emit"]["delivered"])
        for name, maker in makers.items()
        if maker["emit"]
    }


class LedgerTable(NamedTuple):
    """Rows of one kind, with the counts of which any is not 0."""

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Count]]]


def list_tables(ledger: LedgerFields) -> list[LedgerTable]:
    """All accounts; columns of which every count is 0 are left out."""
    probes, spans = ledger["probes"], ledger["spans"]
    makers = {**probes, **spans}
    sides = {
        f"{name}: {hook['to']} ({side})": row
        for name, probe in probes.items()
        for hook in probe["hooks"]
        for side, row in {**hook["sides"], **_calls_of(hook)}.items()
    }
    tables = [
        ("Attach points", sides, ("fired", *SIDE_DISPOSITIONS, "kernel_missed", *CALL_FATES)),
        ("Spans", {name: span["counts"] for name, span in spans.items()}, None),
        (
            "Records",
            {name: maker["emit"] for name, maker in makers.items() if maker["emit"]},
            (*ONCE_DISPOSITIONS, *RECORD_DISPOSITIONS, "delivered"),
        ),
        (
            "Events in metrics",
            {
                f"{name}.{metric}": row
                for name, maker in makers.items()
                for metric, row in maker["metrics"].items()
            },
            METRIC_DISPOSITIONS,
        ),
        ("Stacks", {"stacks": ledger["stacks"]} if "stacks" in ledger else {}, None),
    ]
    return [_make_table(title, rows, columns) for title, rows, columns in tables if rows]


def _calls_of(hook: LedgerFields) -> dict[str, LedgerFields]:
    fates = {fate: hook[fate] for fate in CALL_FATES if fate in hook}
    return {"calls": fates} if any(count != 0 for count in fates.values()) else {}


def _make_table(
    title: str, rows: Mapping[str, LedgerFields], columns: Sequence[str] | None
) -> LedgerTable:
    names = columns or list(dict.fromkeys(name for row in rows.values() for name in row))
    shown = [name for name in names if any(row.get(name, 0) != 0 for row in rows.values())]
    return LedgerTable(
        title,
        [WORDS.get(name, name) for name in shown],
        [(label, [row.get(name, 0) for name in shown]) for label, row in rows.items()],
    )
