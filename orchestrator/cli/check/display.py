"""What `probeplan check` shows to people while it measures and once it has judged."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from orchestrator.cli.messages import print_error

if TYPE_CHECKING:
    from orchestrator.check.measurement import Measurement
    from orchestrator.check.measuring.measure import RepeatProgress
    from orchestrator.check.verdict.model import CheckVerdict


class RepeatLine:
    """One line on a terminal that says which repeat is done; nothing elsewhere."""

    def __init__(self, check: str) -> None:
        from orchestrator.output.terminal.progress import TerminalLine

        self._check = check
        self._line = TerminalLine(sys.stderr)

    def show(self, done: "RepeatProgress") -> None:
        """Say that a repeat is done."""
        warmup = " (warm-up)" if done.is_warmup else ""
        self._line.draw(f"{self._check}: repeat {done.number} of {done.total}{warmup}")

    def hide(self) -> None:
        """Take the line off the terminal."""
        self._line.hide()


def print_verdict(verdict: "CheckVerdict", measurement: "Measurement") -> None:
    """The table of a check, and what there is to say of it."""
    from orchestrator.check.report.rows import list_headings, list_remarks, list_rows

    title = f"{verdict.check.name}: {_describe(verdict)}"
    rows = ((row.texts, row.is_good) for row in list_rows(verdict))
    print_table(title, list_headings(verdict), rows)
    for remark in (*list_remarks(verdict), *_list_costs(measurement)):
        print_error(f"  {remark}")


def print_table(
    title: str, headings: Sequence[str], rows: Iterable[tuple[Sequence[str], bool]]
) -> None:
    """A table on standard error; each row with whether it is good."""
    if sys.stderr is None:
        return
    from rich.console import Console  # 23 ms, once all is measured

    from orchestrator.output.terminal.human_units import make_printable
    from orchestrator.output.terminal.progress import measure_terminal
    from orchestrator.output.terminal.tables import WARNING, make_table
    from orchestrator.output.unblocked import unblocked_text

    width, lines = measure_terminal(sys.stderr)
    console = Console(
        file=unblocked_text(sys.stderr),
        width=width,
        height=lines,
        highlight=False,
        markup=False,
        emoji=False,
    )
    table = make_table([headings[0]], list(headings[1:]))
    for texts, is_good in rows:
        table.add_row(*map(make_printable, texts), style=None if is_good else WARNING)
    console.print(make_printable(title))
    console.print(table)


def _describe(verdict: "CheckVerdict") -> str:
    check, sides = verdict.check, verdict.sides
    sizes = "" if len(check.workload.ops) == 1 else f" of {len(check.workload.ops)} sizes each"
    text = f"{check.metadata.summary} ({check.workload.repeats} repeats{sizes})"
    if sides is not None:
        base, candidate = sides.values
        text += f"; A: {sides.param}={base}, B: {sides.param}={candidate}"
    return text


def _list_costs(measurement: "Measurement") -> Iterator[str]:
    """What the probes cost, where a run would have been limited: times are not the workload's."""
    costs = dict.fromkeys(cost for repeat in measurement.repeats for cost in repeat.would_have)
    for cost in list(costs)[:1]:
        yield f"note: {cost}; the counts are whole, and times include that"
