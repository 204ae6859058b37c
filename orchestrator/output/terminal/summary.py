"""What a run found, for people: tables on standard error, made of the log's own records."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

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
    _probes(console, finished["ledger"]["probes"])
    _spans(console, finished["ledger"].get("spans", {}))
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


def _probes(console: "Console", probes: Record) -> None:
    from orchestrator.output.terminal.tables import table_of

    table = table_of(["probe", "mechanism"], ["fired", "kept", "delivered", "lost"])
    for name, account in probes.items():
        mechanisms = dict.fromkeys(hook["mechanism"] for hook in account["hooks"])
        emit = account["emit"] or {}
        table.add_row(
            harmless(name),
            harmless(", ".join(mechanisms)),
            count(_total(_side(hook, first=True)["fired"] for hook in account["hooks"])),
            count(_total(_side(hook, first=False)["accepted"] for hook in account["hooks"])),
            count(emit.get("delivered")),
            count(_total(_losses(account))),
        )
    if probes:
        console.print(table)


def _spans(console: "Console", spans: Record) -> None:
    from orchestrator.output.terminal.tables import table_of

    table = table_of(["span"], ["started", "ended", "open", "kept", "delivered", "lost"])
    for name, account in spans.items():
        counts, emit = account["counts"], account["emit"] or {}
        table.add_row(
            harmless(name),
            *(count(counts[end]) for end in ("started", "ended", "in_flight", "accepted")),
            count(emit.get("delivered")),
            count(_total([counts["map_full"], *_unwritten(account)])),
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


def _losses(account: Record) -> Iterable[int | str]:
    for hook in account["hooks"]:
        for side in hook["sides"].values():
            yield side["kernel_missed"]
            yield side["map_full"]
    yield from _unwritten(account)


def _unwritten(account: Record) -> Iterable[int | str]:
    """Records and updates of metrics that were lost."""
    emit = account["emit"]
    if emit:
        yield emit["ring_lost"]
        yield _difference(emit["recorded"], emit["delivered"])
    for metric in account["metrics"].values():
        yield metric["map_busy"]


def _difference(more: int | str, less: int | str) -> int | str:
    return more - less if isinstance(more, int) and isinstance(less, int) else "unknown"


def _total(counts: Iterable[int | str]) -> int | str:
    """The sum; what is known and a plus sign where some are unknown."""
    known, unknown = 0, False
    for number in counts:
        if isinstance(number, int):
            known += number
        else:
            unknown = True
    if unknown:
        return f"{known:,} + unknown" if known else "unknown"
    return known


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
