"""The records of a run as rows on a terminal, as many as people can read.

It never holds up the run: what the terminal does not take at once waits in a queue, and while it
does, further records are counted and not rendered. Each second in which records were left out ends
with a line that says how many.
"""

import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, TextIO

from orchestrator.output.log import LogRecord
from orchestrator.output.rows import ROWS_PER_SECOND
from orchestrator.output.rows.cut import cut_end
from orchestrator.output.rows.line import Line
from orchestrator.output.rows.notices import (
    describe_notice,
    describe_opening,
    draw_window,
    is_window,
    wrap_notice,
)
from orchestrator.output.rows.style import Painter, Style
from orchestrator.output.sink import OutputLost, Sink
from orchestrator.output.terminal.progress import measure_terminal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from orchestrator.compile.program import Program
    from orchestrator.output.fields import StackNames
    from orchestrator.output.rows.rendering import RowRenderer
    from orchestrator.output.rows.thinning import Thinning

__all__ = ["RowView"]

_INTERVAL_NS = 1_000_000_000
_EMIT_AT = 8


class RowView:
    """The rows of one run. `terminal`: what `sink` writes to; `before` is called before each write
    (it takes a progress bar off the terminal); `hold_ns`: lines are written together once in this
    time, for a view that is drawn again after them; `has_summary`: totals and the end are shown by
    a summary that follows."""

    def __init__(  # noqa: PLR0913  # what a terminal is, and who else writes to it
        self,
        sink: Sink,
        terminal: TextIO,
        *,
        colours: bool,
        before: Callable[[], None] = lambda: None,
        per_second: int = ROWS_PER_SECOND,
        hold_ns: int = 0,
        has_summary: bool = True,
        shows_windows: bool = True,
    ) -> None:
        self.sink = sink
        self._terminal, self._before = terminal, before
        self._per_second, self._hold_ns = per_second, hold_ns
        self._has_summary, self._shows_windows = has_summary, shows_windows
        self._painter = Painter(colours=colours)
        self._encoding = (terminal.encoding or "utf-8").lower()
        self._mark = "…" if self._encoding.startswith("utf") else "~"
        self._thinning: Thinning | None = None
        self._renderer: RowRenderer | None = None
        self._started: LogRecord = {}
        self._attached: list[LogRecord] = []
        self._waiting: list[Line] = []
        self._written_ns = self._reported_ns = 0

    # ------------------------------------------------------------ what a run calls

    def follow(self, program: "Program", stacks: "StackNames") -> None:
        """The probes are armed: records of `program` follow. `stacks`: the names of a stack's
        frames. Imports numpy."""
        from orchestrator.output.rows.rendering import RowRenderer  # arming waits for neither
        from orchestrator.output.rows.thinning import Thinning  # numpy

        if program.every_ns:
            import_module("orchestrator.output.terminal.tables")  # of this release
        self._reported_ns = time.monotonic_ns()
        self._thinning = Thinning(self._per_second, self._reported_ns)
        self._renderer = RowRenderer(program, stacks, self._painter, self._mark)
        if self._started:
            text = describe_opening(program.name, self._started, self._attached)
            self._add_notice(text, "time")
        self._write_if_due()

    def take(self, records: "NDArray[np.uint8]", offset_ns: int) -> None:
        """Show `records`, or as many as the terminal gets. `offset_ns`: CLOCK_MONOTONIC plus this
        is ns since 1970."""
        if self._thinning is None or self._renderer is None or not len(records):
            return
        kinds = records[:, _EMIT_AT : _EMIT_AT + 2].copy().view("<u2")[:, 0]
        is_stuck = self.sink.congested or not self.sink.usable
        chosen = self._thinning.choose(kinds, time.monotonic_ns(), is_stuck=is_stuck)
        if not chosen:
            return
        width, height = measure_terminal(self._terminal)
        shown = [records[index].tobytes() for index in chosen]
        self._waiting += self._renderer.render(shown, offset_ns, width, height)

    def note(self, event: str, level: str, fields: LogRecord) -> None:
        """Show a record of what the run does."""
        if event == "run.started":
            self._started = fields
        elif event == "probe.attached":
            self._attached.append(fields)
        elif event == "run.finished":
            self._end(fields)
        elif is_window(event):
            self._add_window(event, fields)
        elif self._is_shown(fields):
            for line in describe_notice(event, fields):
                self._add_notice(line, "notice" if level in ("warning", "error") else "time")

    def tick(self) -> None:
        """Called in every round of a run: write what is due."""
        if self._thinning is not None:
            now = time.monotonic_ns()
            if now - self._reported_ns >= _INTERVAL_NS and not self.sink.congested:
                self._reported_ns = now
                self._report_omitted(self._thinning)
        self._write_if_due()

    # ------------------------------------------------------------ what became of them

    @property
    def shown(self) -> int:
        """Records that were shown as rows."""
        return self._thinning.shown if self._thinning else 0

    @property
    def omitted(self) -> int:
        """Records that were not."""
        return self._thinning.omitted if self._thinning else 0

    # ------------------------------------------------------------ writing

    def _end(self, finished: LogRecord) -> None:
        if self._thinning is not None:
            self._report_omitted(self._thinning)
        if not self._has_summary:
            for line in describe_notice("run.finished", finished):
                self._add_notice(line, "")
        elif self.shown:
            self._add_lines([""])
        self._write()

    def _add_window(self, event: str, fields: LogRecord) -> None:
        if not self._is_shown(fields):
            return
        width, _ = measure_terminal(self._terminal)
        stamp = self._painter.paint(_clock(), "time")
        lines = draw_window(event, fields, width, colours=self._painter.colours)
        if lines:
            self._add_lines([stamp, *lines])

    def _is_shown(self, fields: LogRecord) -> bool:
        """Whether a record that may be about a window, or about the whole run, is shown here."""
        match fields.get("total"):
            case True:
                return not self._has_summary
            case False:
                return self._shows_windows
        return True

    def _report_omitted(self, thinning: "Thinning") -> None:
        omitted = thinning.report()
        if not omitted or self._renderer is None:
            return
        text = f"+{sum(omitted.values()):,} more"
        if self._renderer.names_probes:
            kinds = (f"{self._renderer.name_of(kind)} {n:,}" for kind, n in omitted.items())
            text += f": {', '.join(kinds)}"
        width, _ = measure_terminal(self._terminal)
        self._add_lines([self._painter.paint(cut_end(text, width, self._mark), "omission")])

    def _add_notice(self, text: str, style: Style) -> None:
        width, _ = measure_terminal(self._terminal)
        self._add_lines([self._painter.paint(line, style) for line in wrap_notice(text, width)])

    def _add_lines(self, lines: list[str]) -> None:
        if self._renderer is not None:
            self._renderer.count_other_lines(len(lines))
        self._waiting += map(Line, lines)

    def _write_if_due(self) -> None:
        if self._waiting and time.monotonic_ns() - self._written_ns >= self._hold_ns:
            self._write()

    def _write(self) -> None:
        lines, self._waiting = self._waiting, []
        if not lines:
            return
        self._written_ns = time.monotonic_ns()
        self._before()
        try:
            self.sink.write(self._encode(lines), len(lines), partial(self._take_back, lines))
        except OutputLost as error:
            self._take_back(lines, error.records_lost)

    def _encode(self, lines: list[Line]) -> bytes:
        text = "".join(f"{line.text}\n" for line in lines)
        if self._mark != "…":
            text = text.replace("µ", "u")
        return text.encode(self._encoding, "backslashreplace")

    def _take_back(self, lines: list[Line], lost: int) -> None:
        """The last `lost` of the lines did not reach the terminal."""
        if self._thinning is not None and lost:
            self._thinning.take_back(sum(line.is_row for line in lines[-lost:]))


def _clock() -> str:
    return time.strftime("%H:%M:%S")
