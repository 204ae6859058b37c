"""The summary of a run for people: tables on standard error, made of the records of the log."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, TextIO, cast

from orchestrator.accounting.count import Count, at_least, is_known, subtract_counts
from orchestrator.accounting.losses import losses_of_ledger
from orchestrator.accounting.vocabulary import Ledger
from orchestrator.output.log import LogRecord
from orchestrator.output.terminal.addresses import AddressKeys, show_addresses
from orchestrator.output.terminal.human_units import (
    collect_units,
    format_bound,
    format_count,
    format_numbers,
    make_printable,
)
from orchestrator.output.terminal.progress import measure_terminal
from orchestrator.output.terminal.verdict_text import describe_reasons, describe_verdict

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = ["describe_limit", "leave_out_explained", "print_summary"]


def print_summary(  # noqa: PLR0913  # the records that a run ends with
    finished: LogRecord,
    metrics: Sequence[LogRecord] = (),
    limits: Sequence[LogRecord] = (),
    *,
    figures: LogRecord | None = None,
    warnings: Sequence[LogRecord] = (),
    outstanding: Sequence[LogRecord] = (),
    stopped: LogRecord | None = None,
    places: Sequence[str] = (),
    addresses: AddressKeys = MappingProxyType({}),
    file: TextIO,
    width: int | None = None,
) -> None:
    """Print the summary of one run to `file`: the `run.finished` record, the total
    `metric.reported`, `figure.reported`, `metric.warned` and `outstanding.reported` records, and
    `stop.reached` and `limit.reached`, as in the log schema. `places`: where its output was
    written, one line each; `addresses`: the keys that are shown in hexadecimal. Widths and colours
    are the terminal's; COLUMNS, NO_COLOR and TERM are respected."""
    from rich.console import Console  # lazy: 23 ms, paid once the run is over

    from orchestrator.output.terminal.tables import (
        WARNING,
        Drawing,
        draw_figures,
        format_warnings,
    )

    metrics = [show_addresses(metric, addresses) for metric in metrics]
    outstanding = [show_addresses(held, addresses) for held in outstanding]
    warnings = [show_addresses(warning, addresses) for warning in warnings]
    columns, lines = measure_terminal(file)
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
    _print_probes(console, finished["ledger"]["probes"], losses)
    _print_spans(console, finished["ledger"]["spans"], losses)
    _print_notes(console, finished["ledger"].get("notes", {}))
    for metric in metrics:
        console.print()
        _print_parts(console, drawing.draw_metric(metric, warnings))
    for held in outstanding:
        console.print()
        _print_parts(console, drawing.draw_outstanding(held))
    if figures is not None and figures["values"]:
        console.print()
        _print_parts(console, draw_figures(figures))
    console.print()
    units = collect_units(metrics, figures["display_units"] if figures else {})
    _print_parts(console, format_warnings(warnings, units))
    for limit in leave_out_explained(limits, finished):
        console.print(describe_limit(limit), style=WARNING)
    if stopped is not None:
        values = format_numbers(stopped["numbers"], units)
        console.print(f"stopped: {make_printable(stopped['condition'])}: {make_printable(values)}")
    _print_verdict(console, finished, [held["outstanding"] for held in outstanding])
    for place in places:
        console.print(make_printable(place))


def _print_parts(console: "Console", parts: "Iterable[RenderableType]") -> None:
    """Print tables and lines. What a line says of its overflow has to be said again: rich joins
    what it prints to a text that it makes itself."""
    for part in parts:
        overflow = getattr(part, "overflow", None)
        console.print(
            part,
            overflow=overflow,
            no_wrap=getattr(part, "no_wrap", None),
            crop=overflow != "ignore",
        )


def _print_probes(
    console: "Console", probes: LogRecord, losses: Mapping[str | None, Sequence[Count]]
) -> None:
    from orchestrator.output.terminal.tables import make_table

    table = make_table(["probe", "mechanism"], ["fired", "kept", "delivered", "lost"])
    for name, account in probes.items():
        hooks, emit = account["hooks"], account["emit"] or {}
        fired = [_choose_side(hook, first=True)["fired"] for hook in hooks]
        accepted = [_choose_side(hook, first=False)["accepted"] for hook in hooks]
        table.add_row(
            make_printable(name),
            make_printable(", ".join(dict.fromkeys(hook["mechanism"] for hook in hooks))),
            format_count(_sum_counts(fired)),
            format_count(_sum_counts(accepted)),
            format_count(emit.get("delivered")),
            format_count(_sum_counts(losses.get(name, ()))),
        )
    if probes:
        console.print(table)


def _print_spans(
    console: "Console", spans: LogRecord, losses: Mapping[str | None, Sequence[Count]]
) -> None:
    from orchestrator.output.terminal.tables import make_table

    table = make_table(["span"], ["started", "ended", "open", "kept", "delivered", "lost"])
    for name, account in spans.items():
        counts, emit = account["counts"], account["emit"] or {}
        table.add_row(
            make_printable(name),
            *(format_count(counts[end]) for end in ("started", "ended", "in_flight", "accepted")),
            format_count(emit.get("delivered")),
            format_count(_sum_counts(losses.get(name, ()))),
        )
    if spans:
        console.print()
        console.print(table)


def _print_notes(console: "Console", notes: LogRecord) -> None:
    from orchestrator.output.terminal.note_table import describe_looks, make_note_table
    from orchestrator.output.terminal.tables import WARNING, make_table

    if not notes:
        return
    accounts = make_note_table(notes)
    narrow = [heading.replace(" ", "\n", 1) for heading in accounts.headings]
    table = make_table(["note"], narrow)
    for name, counts, has_loss in accounts.rows:
        table.add_row(make_printable(name), *counts, style=WARNING if has_loss else None)
    console.print()
    console.print(table)
    for line in describe_looks(notes):
        console.print(make_printable(line.text), style=WARNING if line.warns else None)


def _choose_side(hook: LogRecord, *, first: bool) -> LogRecord:
    """The side on which a hook fires first, or the one that records are made of."""
    sides: LogRecord = hook["sides"]
    order = ("entry", "hit", "return") if first else ("return", "hit", "entry")
    side: LogRecord = next(sides[name] for name in order if name in sides)
    return side


def _losses_by_owner(
    ledger: LogRecord, limits: Sequence[LogRecord]
) -> dict[str | None, list[Count]]:
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
        if not loss.is_repeated:
            losses[loss.owner].append(loss.lost)
    return losses


def _sum_counts(counts: Sequence[Count]) -> int | str:
    """The sum; the known part and "+ unknown" where some are unknown."""
    known = sum(map(at_least, counts))
    if all(map(is_known, counts)):
        return known
    return f"{known:,} + unknown" if known else "unknown"


def leave_out_explained(limits: Iterable[LogRecord], finished: LogRecord) -> list[LogRecord]:
    """The limits of which the lines of the verdict do not say more."""
    explained = {(held["limit"], held["probe"]) for held in finished["held_back"]}
    return [limit for limit in limits if (limit["limit"], limit.get("probe")) not in explained]


def describe_limit(limit: LogRecord) -> str:
    """`limits.events (10,000) was reached: the run ended: after 3.2 s`."""
    whose = f" of {make_printable(limit['probe'])}" if limit.get("probe") else ""
    detail = f": {make_printable(limit['detail'])}" if limit.get("detail") else ""
    bound = format_bound(limit["limit"], limit)
    action = _ACTIONS.get(limit["action"], make_printable(limit["action"]))
    return f"limits.{limit['limit']} ({bound}){whose} was reached: {action}{detail}"


_ACTIONS = {
    "stop": "the run ended",
    "mute": "later events were counted and not recorded",
    "drop": "events beyond it were counted and not recorded",
    "detach": "the probe was detached",
    "sample": "fewer events were sampled",
}
_STYLES = {True: "bold", False: "bold red", "unknown": "bold yellow"}


def _print_verdict(console: "Console", finished: LogRecord, outstanding: Sequence[str]) -> None:
    verdict = describe_verdict(finished, outstanding)
    console.print(make_printable(verdict), style=_STYLES[finished["complete"]])
    for reason in describe_reasons(finished):
        console.print(f"  {make_printable(reason)}")
    if finished["nothing_seen_because"]:
        console.print(f"nothing was seen: {make_printable(finished['nothing_seen_because'])}")
    if finished.get("error"):
        console.print(f"error: {make_printable(finished['error'])}", style="bold red")
