"""What a run found, for people: tables on standard error, made of the log's own records."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO, cast

from orchestrator.accounting.count import Count, at_least, is_known, subtract_counts
from orchestrator.accounting.losses import losses_of_ledger
from orchestrator.accounting.vocabulary import Ledger
from orchestrator.output.terminal.human_units import (
    amount,
    count,
    ending,
    harmless,
    numbers,
    units_of,
)
from orchestrator.output.terminal.progress import size_of

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["print_summary"]

Record = Mapping[str, Any]


def print_summary(  # noqa: PLR0913  # the records that a run ends with
    finished: Record,
    metrics: Sequence[Record] = (),
    limits: Sequence[Record] = (),
    *,
    derived: Record | None = None,
    warnings: Sequence[Record] = (),
    outstanding: Sequence[Record] = (),
    stopped: Record | None = None,
    places: Sequence[str] = (),
    file: TextIO,
    width: int | None = None,
) -> None:
    """Print the summary of one run to `file`: the `run.finished` record, the total
    `metric.reported`, `figure.reported`, `metric.warned` and `outstanding.reported` records, and
    `stop.reached` and `limit.reached`, as in the log schema. `places`: where its output went, for
    people. Widths and colours are the terminal's; COLUMNS, NO_COLOR and TERM are heeded."""
    from rich.console import Console  # lazy: 23 ms, paid once the run is over

    from orchestrator.output.terminal.tables import WARNING, Drawing, derived_table, warning_lines

    columns, lines = size_of(file)
    console = Console(
        file=file,
        width=width or columns,
        height=lines,
        highlight=False,
        markup=False,
        emoji=False,
    )
    drawing = Drawing(console)
    losses = _losses_by_owner(finished["ledger"], limits)
    _probes(console, finished["ledger"]["probes"], losses)
    _spans(console, finished["ledger"]["spans"], losses)
    for metric in metrics:
        console.print()
        for part in drawing.metric(metric, warnings):
            console.print(part)
    for held in outstanding:
        console.print()
        for part in drawing.outstanding(held):
            console.print(part)
    if derived is not None and derived["values"]:
        console.print()
        console.print(derived_table(derived))
    console.print()
    units = units_of(metrics, derived["display_units"] if derived else {})
    for line in warning_lines(warnings, units):
        console.print(line)
    for limit in limits:
        console.print(_limit(limit), style=WARNING)
    if stopped is not None:
        told = numbers(stopped["numbers"], units)
        console.print(f"stopped: {harmless(stopped['condition'])}: {harmless(told)}")
    _verdict(console, finished)
    for place in places:
        console.print(harmless(place))


def _probes(
    console: "Console", probes: Record, losses: Mapping[str | None, Sequence[Count]]
) -> None:
    from orchestrator.output.terminal.tables import table_of

    table = table_of(["probe", "mechanism"], ["fired", "kept", "delivered", "lost"])
    for name, account in probes.items():
        mechanisms = dict.fromkeys(hook["mechanism"] for hook in account["hooks"])
        emit = account["emit"] or {}
        table.add_row(
            harmless(name),
            harmless(", ".join(mechanisms)),
            count(_total([_side(hook, first=True)["fired"] for hook in account["hooks"]])),
            count(_total([_side(hook, first=False)["accepted"] for hook in account["hooks"]])),
            count(emit.get("delivered")),
            count(_total(losses.get(name, ()))),
        )
    if probes:
        console.print(table)


def _spans(console: "Console", spans: Record, losses: Mapping[str | None, Sequence[Count]]) -> None:
    from orchestrator.output.terminal.tables import table_of

    table = table_of(["span"], ["started", "ended", "open", "kept", "delivered", "lost"])
    for name, account in spans.items():
        counts, emit = account["counts"], account["emit"] or {}
        table.add_row(
            harmless(name),
            *(count(counts[end]) for end in ("started", "ended", "in_flight", "accepted")),
            count(emit.get("delivered")),
            count(_total(losses.get(name, ()))),
        )
    if spans:
        console.print()
        console.print(table)


def _side(hook: Record, *, first: bool) -> Record:
    """The side on which a hook fires first, or the one on which it is kept."""
    sides: Record = hook["sides"]
    order = ("entry", "hit", "return") if first else ("return", "hit", "entry")
    side: Record = next(sides[name] for name in order if name in sides)
    return side


def _losses_by_owner(ledger: Record, limits: Sequence[Record]) -> dict[str | None, list[Count]]:
    """What was lost, by probe or span, as the verdict counts it: records that limits.output left
    unwritten are no loss."""
    undelivered: dict[str, Count] = {}
    if not any(limit["limit"] == "output" for limit in limits):
        makers = {**ledger["probes"], **ledger["spans"]}
        undelivered = {
            name: subtract_counts(maker["emit"]["recorded"], maker["emit"]["delivered"])
            for name, maker in makers.items()
            if maker["emit"]
        }
    losses: dict[str | None, list[Count]] = defaultdict(list)
    for loss in losses_of_ledger(cast("Ledger", ledger), undelivered):
        losses[loss.owner].append(loss.count)
    return losses


def _total(counts: Sequence[Count]) -> int | str:
    """The sum; the known part and "+ unknown" where some are unknown."""
    known = sum(map(at_least, counts))
    if all(map(is_known, counts)):
        return known
    return f"{known:,} + unknown" if known else "unknown"


def _limit(limit: Record) -> str:
    whose = f" of {harmless(limit['probe'])}" if limit.get("probe") else ""
    detail = f": {harmless(limit['detail'])}" if limit.get("detail") else ""
    bound = amount(limit["value"], _LIMIT_UNITS.get(limit["limit"], ""))
    return (
        f"limit reached: {limit['limit']} {bound}{whose}, by the "
        f"{limit['enforced_by']}, {limit['action']}{detail}"
    )


_LIMIT_UNITS = {"duration": "ns", "memory": "bytes", "output": "bytes"}
_VERDICTS = {
    True: ("complete", "bold"),
    False: ("INCOMPLETE", "bold red"),
    "unknown": ("completeness unknown", "bold yellow"),
}


def _verdict(console: "Console", finished: Record) -> None:
    took = amount(finished["duration_ns"], "ns")
    records = "record" if finished["delivered"] == 1 else "records"
    verdict, style = _VERDICTS[finished["complete"]]
    console.print(
        f"{harmless(finished['plan'])}: {verdict}. "
        f"{count(finished['delivered'])} {records} in {took}, {count(finished['lost'])} lost; "
        f"ended by {ending(finished['outcome'])}",
        style=style,
    )
    for reason in finished["incomplete_because"]:
        console.print(f"  {harmless(reason)}")
    if finished["nothing_seen_because"]:
        console.print(f"nothing was seen: {harmless(finished['nothing_seen_because'])}")
    if finished.get("error"):
        console.print(f"error: {harmless(finished['error'])}", style="bold red")
