"""Records of what a run does, as lines for people: warnings, windows, losses."""

from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from textwrap import wrap

from orchestrator.output.log import LogRecord
from orchestrator.output.terminal.human_units import format_amount, format_bound, format_numbers
from orchestrator.plan.printable import make_printable

__all__ = ["describe_notice", "describe_opening", "draw_window", "is_window", "wrap_notice"]

_WINDOWS = frozenset({"metric.reported", "figure.reported", "outstanding.reported"})
#: Rows of a table of each window; the summary has more.
_CELLS = 10
_ACTIONS: Mapping[str, str] = {
    "stop": "the run ends",
    "mute": "nothing more is recorded",
    "drop": "what is above it is dropped",
}


def describe_opening(plan: str, started: LogRecord, attached: Sequence[LogRecord]) -> str:
    """What is traced, and what ends it: of run.started and the probe.attached records."""
    points = "1 attach point" if len(attached) == 1 else f"{len(attached):,} attach points"
    mechanisms = ", ".join(dict.fromkeys(one["mechanism"] for one in attached))
    duration = started["limits"]["duration"]["value"]
    ends = "" if isinstance(duration, str) else f"after {format_amount(duration, 'ns')}, or "
    ends += "with COMMAND" if started["command"] else "with Ctrl-C"
    return make_printable(f"{plan}: {points} by {mechanisms} ({started['backend']}); ends {ends}")


def describe_notice(event: str, fields: LogRecord) -> list[str]:
    """The lines for a record, printable; none for what rows and tables show anyway."""
    describe = _NOTICES.get(event)
    lines = [f"{event}: {_list_fields(fields)}"] if describe is None else describe(fields)
    return [make_printable(line) for line in lines]


def is_window(event: str) -> bool:
    """Whether the record reports what was measured in a window, or in total."""
    return event in _WINDOWS


def draw_window(event: str, fields: LogRecord, width: int, *, colours: bool) -> list[str]:
    """The lines of a record of `is_window`: a table, at most `width` columns wide."""
    from rich.console import Console  # 23 ms, for plans with windows

    from orchestrator.output.terminal.tables import Drawing, draw_figures

    file = StringIO()
    console = Console(
        file=file,
        width=width,
        force_terminal=colours,
        no_color=not colours,
        highlight=False,
        markup=False,
        emoji=False,
    )
    drawing = Drawing(console, cells=_CELLS, blocks=0)
    match event:
        case "metric.reported":
            parts = list(drawing.draw_metric(fields))
        case "outstanding.reported":
            parts = list(drawing.draw_outstanding(fields))
        case _:
            parts = list(draw_figures(fields, most=_CELLS)) if fields["values"] else []
    for part in parts:  # rich forgets what a text says of its overflow, unless it is said again
        overflow = getattr(part, "overflow", None)
        console.print(part, overflow=overflow, no_wrap=getattr(part, "no_wrap", None))
    return file.getvalue().splitlines()


def wrap_notice(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns; those that follow the first are indented."""
    return wrap(text, max(20, width), subsequent_indent="  ") or [""]


def _describe_skipped(fields: LogRecord) -> list[str]:
    return [f"skipped: {fields['probe']} at {fields['to']}: {fields['reason']}"]


def _describe_limit(fields: LogRecord) -> list[str]:
    whose = f" of {fields['probe']}" if fields.get("probe") else ""
    bound = format_bound(fields["limit"], fields)
    action = _ACTIONS.get(fields["action"], fields["action"])
    detail = f" ({fields['detail']})" if fields.get("detail") else ""
    return [f"limit reached: {fields['limit']} {bound}{whose}: {action}{detail}"]


def _describe_warned(fields: LogRecord) -> list[str]:
    from orchestrator.output.terminal.tables import format_warnings  # rich, for plans with warnings

    return [line.plain for line in format_warnings([fields], {})]


def _describe_lost(fields: LogRecord) -> list[str]:
    whose = f" of {fields['probe']}" if fields.get("probe") else ""
    detail = f": {fields['detail']}" if fields.get("detail") else ""
    return [f"lost: {fields['lost']:,}{whose} ({fields['reason']}){detail}"]


def _describe_stopped(fields: LogRecord) -> list[str]:
    return [f"stopped: {fields['condition']}: {format_numbers(fields['numbers'], {})}"]


def _describe_clock(fields: LogRecord) -> list[str]:
    by = fields["by_ns"]
    direction = "back" if by < 0 else "forward"
    return [f"the system's clock was set {direction} by {format_amount(abs(by), 'ns')}"]


def _describe_governor(fields: LogRecord) -> list[str]:
    about = f" of {fields['probe']}" if fields.get("probe") else ""
    detail = f": {fields['detail']}" if fields.get("detail") else ""
    cost = f"{fields['cost'] * 100:.3g} % of one CPU, allowed {fields['budget'] * 100:.3g} %"
    return [f"limits.cpu: {cost}: {fields['action']}{about}{detail}"]


def _describe_paused(fields: LogRecord) -> list[str]:
    return [f"paused: {fields['probe']}"]


def _describe_resumed(fields: LogRecord) -> list[str]:
    return [f"resumed: {fields['probe']}, after {format_amount(fields['paused_ns'], 'ns')}"]


def _describe_finished(fields: LogRecord) -> list[str]:
    reasons = [*fields["incomplete_because"], fields["held_back_because"], fields["error"]]
    reasons.append(fields["nothing_seen_because"])
    took = format_amount(fields["duration_ns"], "ns")
    head = f"ended after {took}: {fields['delivered']:,} records, {fields['lost']} lost"
    return [head, *(f"  {reason}" for reason in reasons if reason)]


def _describe_nothing(_fields: LogRecord) -> list[str]:
    return []


def _list_fields(fields: LogRecord) -> str:
    return ", ".join(f"{name} {value}" for name, value in fields.items() if value is not None)


_NOTICES: Mapping[str, Callable[[LogRecord], list[str]]] = {
    "run.started": _describe_nothing,
    "probe.attached": _describe_nothing,
    "stack.named": _describe_nothing,
    "probe.skipped": _describe_skipped,
    "probe.paused": _describe_paused,
    "probe.resumed": _describe_resumed,
    "metric.warned": _describe_warned,
    "stop.reached": _describe_stopped,
    "limit.reached": _describe_limit,
    "clock.stepped": _describe_clock,
    "governor.stepped": _describe_governor,
    "events.lost": _describe_lost,
    "run.finished": _describe_finished,
}
