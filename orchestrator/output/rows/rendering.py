"""From the bytes of records to lines of aligned cells: time, process, fields."""

import time
from collections.abc import Iterator, Sequence

from orchestrator.compile.expressions.types import COMM_SIZE
from orchestrator.compile.program import Emit, Program
from orchestrator.output.fields import StackNames
from orchestrator.output.rows.columns import Column, Table, column_of_field
from orchestrator.output.rows.cut import cut_end
from orchestrator.output.rows.line import Line
from orchestrator.output.rows.style import Painter, Style
from orchestrator.output.rows.values import RowCell, make_cell_renderer
from orchestrator.output.text import text_from_kernel
from orchestrator.plan.printable import make_printable

__all__ = ["RowRenderer"]

_PID_WIDTH = 7  # pid_max is 4,194,304 at most: include/linux/threads.h, PID_MAX_LIMIT
_MOST_PROBE = 16
_PROBE_STYLES: tuple[Style, ...] = ("probe0", "probe1", "probe2", "probe3")
#: A heading is not repeated for a probe whose rows alternate with those of another: fewer rows
#: than this after a heading, they are written as NAME=VALUE instead.
_ROWS_OF_A_HEADING = 4


class _Kind:
    """The records of one probe or span."""

    def __init__(self, emit: Emit, sampled: bool, stacks: StackNames, number: int) -> None:
        self.emit, self.is_weighted = emit, sampled
        self.probe = RowCell(make_printable(emit.probe), _PROBE_STYLES[number % len(_PROBE_STYLES)])
        self.names = tuple(make_printable(field.name) for field in emit.fields)
        self.columns = tuple(column_of_field(field) for field in emit.fields)
        self.are_long = [column.is_long for column in self.columns]
        self.table: tuple[bool, Table] | None = None  # and whether it has weights
        self.renderers = [make_cell_renderer(field, stacks) for field in emit.fields]


class RowRenderer:
    """Renders the records of a program; `mark` shows that something was cut. A heading is written
    when the kind of record changes, when its columns move, and after a screenful."""

    def __init__(
        self, program: Program, stacks: StackNames, painter: Painter, mark: str = "…"
    ) -> None:
        sampled = {probe.name: probe.sample > 1 for probe in program.probes}
        self._painter, self._mark = painter, mark
        self._kinds = {
            emit.index: _Kind(emit, sampled.get(emit.probe, False), stacks, number)
            for number, emit in enumerate(program.emits)
        }
        self._names_probes = len(self._kinds) > 1
        self._tables: dict[tuple[object, ...], Table] = {}
        self._heading: Table | None = None
        self._since_heading = 0

    def count_other_lines(self, lines: int) -> None:
        """So many lines that are no rows were written, which move the heading off the screen."""
        self._since_heading += lines

    def name_of(self, kind: int) -> str:
        """The probe or span that a record's `emit` stands for."""
        return self._kinds[kind].probe.text

    @property
    def names_probes(self) -> bool:
        """Whether records are of several probes."""
        return self._names_probes

    def render(
        self, records: Sequence[bytes], offset_ns: int, width: int, height: int
    ) -> Iterator[Line]:
        """The lines of `records`, with headings. `offset_ns`: CLOCK_MONOTONIC plus this is ns since
        1970; `width` and `height`: of the terminal."""
        rows = [self._make_row(record, offset_ns) for record in records]
        for table in dict.fromkeys(table for _, table, _ in rows):
            table.widen(cells for _, of, cells in rows if of is table)
        for kind, table, cells in rows:
            if table is not self._heading and self._heading is not None and self._is_too_soon:
                yield Line(self._label_row(kind, cells, width), is_row=True)
            else:
                if self._needs_heading(table, height) or table.has_moved(width):
                    yield Line(table.format_heading(width))
                    self._heading, self._since_heading = table, 0
                yield Line(table.format_row(cells, width), is_row=True)
            self._since_heading += 1

    @property
    def _is_too_soon(self) -> bool:
        return self._since_heading < _ROWS_OF_A_HEADING

    def _needs_heading(self, table: Table, height: int) -> bool:
        return table is not self._heading or self._since_heading >= max(8, height - 2)

    def _make_row(self, record: bytes, offset_ns: int) -> tuple[_Kind, Table, list[RowCell]]:
        kind = self._kinds[int.from_bytes(record[8:10], "little")]
        weight = int.from_bytes(record[20:24], "little")
        kind.is_weighted = kind.is_weighted or weight != 1
        cells = [_format_time(int.from_bytes(record[0:8], "little") + offset_ns)]
        if self._names_probes:
            cells.append(kind.probe)
        if kind.emit.has_task:
            comm = make_printable(text_from_kernel(record[32 : 32 + COMM_SIZE]))
            cells += [RowCell(comm), RowCell(str(int.from_bytes(record[12:16], "little")))]
        if kind.is_weighted:
            cells.append(RowCell(str(weight)))
        cells += [render(record) for render in kind.renderers]
        return kind, self._find_table(kind), cells

    def _find_table(self, kind: _Kind) -> Table:
        if kind.table is None or kind.table[0] is not kind.is_weighted:
            kind.table = kind.is_weighted, self._share_table(kind)
        return kind.table[1]

    def _share_table(self, kind: _Kind) -> Table:
        """The table of this kind, and of all with the same columns."""
        fields, task = kind.columns, kind.emit.has_task
        key = (task, kind.is_weighted, *fields)
        if key not in self._tables:
            columns = [Column(name="time", width=12)]
            if self._names_probes:
                names = (len(one.probe.text) for one in self._kinds.values())
                columns.append(Column(name="probe", width=min(_MOST_PROBE, max(names))))
            if task:
                columns.append(Column(name="comm", width=COMM_SIZE - 1))
                columns.append(Column(name="pid", width=_PID_WIDTH, is_right=True))
            if kind.is_weighted:
                columns.append(Column(name="weight", is_right=True))
            self._tables[key] = Table([*columns, *fields], self._painter, self._mark)
        return self._tables[key]

    def _label_row(self, kind: _Kind, cells: Sequence[RowCell], width: int) -> str:
        """A row that needs no heading: each value with its name."""
        head = len(cells) - len(kind.names)
        shared = [cell.text for cell in cells[1:head]]
        if kind.is_weighted:
            shared[-1] = f"weight={shared[-1]}"
        fields = zip(kind.names, kind.are_long, cells[head:], strict=True)
        in_order = sorted(fields, key=lambda field: field[1])  # what is long comes last here, too
        named = [f"{name}={cell.text}" for name, _, cell in in_order]
        time_text = cells[0].text
        rest = cut_end("  ".join([*shared, *named]), width - len(time_text) - 2, self._mark)
        return f"{self._painter.paint(time_text, 'time')}  {rest}"


def _format_time(unix_nano: int) -> RowCell:
    """The local time of day, with milliseconds."""
    second, nano = divmod(unix_nano, 1_000_000_000)
    clock = time.strftime("%H:%M:%S", time.localtime(second))
    return RowCell(f"{clock}.{nano // 1_000_000:03d}", "time")
