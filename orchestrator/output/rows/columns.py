"""The columns of rows: in which order, how wide on a terminal of so many columns, and what is cut.

Columns are as wide as the values seen so far. Texts that can be long (paths, strings, stacks) come
last and share what is left. What does not fit is cut visibly.
"""

from collections.abc import Iterable, Sequence

from orchestrator.compile.expressions.types import COMM_SIZE
from orchestrator.compile.program import RecordField
from orchestrator.output.fields import is_number
from orchestrator.output.rows.cut import cut_end, cut_start, measure_cells, pad_text
from orchestrator.output.rows.style import Painter
from orchestrator.output.rows.values import RowCell
from orchestrator.values import dataclass

__all__ = ["Column", "Table", "column_of_field"]

_GAP, _NARROW_GAP = 2, 1
_NARROW_TERMINAL = 60
#: The least that a long text gets, before other texts are cut.
_LEAST_LONG = 12
#: What it gets before space is reserved for wider values of other columns.
_ROOMY_LONG = 30
_LEAST_SHORT = 6
#: What a text of medium length takes at most; a long text that is not the last, too.
_MOST_SHORT, _MOST_LONG = 40, 60
_LONG_FORMS = frozenset({"string", "strings", "path", "bytes", "text", "kstack", "ustack", "usym"})
_START_WIDTHS = {
    "ns": 7, "bytes": 7, "address": 18, "bool": 5, "ipv4": 11, "ipv6": 15, "ip": 15,
    "endpoint": 18,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: `width` is reserved for it where the terminal is wide enough; `is_right`: aligned
    to the right, and never cut; `is_long`: a text that may be long; `keeps_end`: one that may be a
    path, of which the end is kept."""

    name: str
    width: int = 0
    is_right: bool = False
    is_long: bool = False
    keeps_end: bool = False


def column_of_field(field: RecordField) -> Column:
    """The column for a field's values."""
    number = is_number(field)
    is_hashed = field.presentation is not None and field.presentation.hashed
    is_long = field.form in _LONG_FORMS and not is_hashed
    if field.form == "string" and field.size <= COMM_SIZE:  # the name of a task
        return Column(name=field.name, width=COMM_SIZE - 1)
    return Column(
        name=field.name,
        width=_START_WIDTHS.get(field.unit if number else field.form, 0),
        is_right=number,
        is_long=is_long,
        keeps_end=field.form in ("path", "string"),
    )


class Table:
    """Rows with the same columns. `columns`: in the order of the plan; long ones are placed last.
    `mark`: what shows that something was cut."""

    def __init__(self, columns: Sequence[Column], painter: Painter, mark: str = "…") -> None:
        self._order = sorted(range(len(columns)), key=lambda at: columns[at].is_long)
        self._columns = [columns[at] for at in self._order]
        self._painter, self._mark = painter, mark
        self._seen = [measure_cells(one.name) for one in self._columns]
        self._headed: list[int] = []

    def widen(self, rows: Iterable[Sequence[RowCell]]) -> None:
        """Make the columns as wide as these rows need."""
        for cells in rows:
            for at, place in enumerate(self._order):
                most = _MOST_LONG if self._columns[at].is_long else _MOST_SHORT
                self._seen[at] = max(self._seen[at], min(most, measure_cells(cells[place].text)))

    def has_moved(self, width: int) -> bool:
        """Whether rows no longer line up with the last heading: for wider values, or in a terminal
        of another width."""
        return self._choose_widths(width) != self._headed

    def format_heading(self, width: int) -> str:
        """The names of the columns, for a terminal of `width` columns."""
        self._headed = self._choose_widths(width)
        names = [RowCell(column.name, "heading") for column in self._columns]
        return self._format(names, width)

    def format_row(self, cells: Sequence[RowCell], width: int) -> str:
        """One line of at most `width` columns; `cells` in the order of the plan."""
        return self._format([cells[place] for place in self._order], width)

    def _format(self, cells: Sequence[RowCell], width: int) -> str:
        gap = _choose_gap(width)
        line, left = "", width
        columns = zip(self._columns, cells, self._choose_widths(width), strict=True)
        for at, (column, cell, size) in enumerate(columns):
            is_last = at == len(cells) - 1
            text = self._cut(column, cell.text, left if is_last else size)
            padded = pad_text(text, min(size, left), right=column.is_right)
            room = left if is_last else left - gap - len(self._mark)  # the next is seen, or a mark
            if measure_cells(text if is_last else padded) > room:
                text = cut_end(padded, left - len(self._mark), "") + self._mark
                return line + self._painter.paint(text, cell.style)
            line += self._paint(padded, text, cell) + " " * gap
            left -= measure_cells(padded) + gap
        return line.rstrip()

    def _cut(self, column: Column, text: str, room: int) -> str:
        cut = cut_start if column.keeps_end and text.startswith("/") else cut_end
        return cut(text, room, self._mark)

    def _paint(self, padded: str, text: str, cell: RowCell) -> str:
        """The text in its style; blanks are not painted."""
        if not text:
            return padded
        before, _, after = padded.partition(text)
        return before + self._painter.paint(text, cell.style) + after

    def _choose_widths(self, width: int) -> list[int]:
        """The widths of all columns; where the terminal is too narrow for all, together they are
        wider than it."""
        gaps = _choose_gap(width) * (len(self._columns) - 1)
        reserved = [
            max(column.width, seen) for column, seen in zip(self._columns, self._seen, strict=True)
        ]
        long = [at for at, column in enumerate(self._columns) if column.is_long]
        wanted = sum(size for at, size in enumerate(reserved) if at not in long)
        is_roomy = width - gaps - wanted >= _ROOMY_LONG * len(long)
        widths = list(reserved if is_roomy else self._seen)
        for at in long:
            widths[at] = min(widths[at], _LEAST_LONG)
        spare = width - sum(widths) - gaps
        if spare < 0:
            spare = _shrink(widths, self._list_short_texts(), spare)
        for at in long[:-1]:
            more = max(0, min(self._seen[at] - widths[at], spare // len(long)))
            widths[at] += more
            spare -= more
        if long and spare > 0:
            widths[long[-1]] += spare
        return widths

    def _list_short_texts(self) -> list[int]:
        return [
            at
            for at, column in enumerate(self._columns)
            if not column.is_long and not column.is_right
        ]


def _choose_gap(width: int) -> int:
    return _NARROW_GAP if width < _NARROW_TERMINAL else _GAP


def _shrink(widths: list[int], places: Sequence[int], spare: int) -> int:
    """Narrow the widest of the columns at `places`, a cell at a time, until `spare` is 0."""
    while spare < 0 and places:
        widest = max(places, key=lambda at: widths[at])
        if widths[widest] <= _LEAST_SHORT:
            break
        widths[widest] -= 1
        spare += 1
    return spare
