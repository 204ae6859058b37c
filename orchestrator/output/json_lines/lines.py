"""Event records to JSON lines in bulk.

All lines of a batch have the same width: they are rows of a byte matrix, filled once from a
template and then only in the columns that vary. JSON allows white space between tokens, so shorter
values are padded. The result has the same fields and values as structlog's JSON renderer would
write for the event. Importing this module imports numpy, which is slow: do it lazily.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from orchestrator.compile.expressions.types import COMM_SIZE
from orchestrator.compile.program import RECORD_HEADER, Emit, RecordField
from orchestrator.output.fields import (
    StackNames,
    bound_token_size,
    is_number,
    make_token_renderer,
    make_truncated_renderer,
    no_stacks,
)
from orchestrator.output.json_lines.clock import Clock, StampColumn, UnixNanoColumn
from orchestrator.output.json_lines.digits import (
    ByteRows,
    NumberColumn,
    Scratch,
    find_distinct,
    overlay_tokens,
)
from orchestrator.output.json_lines.tokens import TokenColumn
from orchestrator.output.text import dump_json, text_from_kernel

__all__ = ["LineRenderer", "RecordRenderer", "Records"]

#: (n, record size) bytes, rows at any stride; or a structured array of n records.
Records = npt.NDArray[np.uint8] | npt.NDArray[np.void]

_AT = {name: offset for name, _, offset in RECORD_HEADER}
_FORM = {name: form for name, form, _ in RECORD_HEADER}
_ROWS = 4096  # at about 300 bytes a line the matrix stays within a second-level cache
_MATRIX_LIMIT = 8 << 20  # bytes; long strings mean fewer rows
_LAYOUTS = 64  # choices of widths that are cached
_COMMON = 640  # bytes of a line without its strings, generously


class _LineColumn(Protocol):
    """One column of a line. It begins at `phase` bytes after a multiple of `align`, so that its
    words are aligned."""

    align: int
    phase: int

    def fit(self, records: ByteRows) -> int:
        """Read the values of a batch; returns the width that they need, in bytes."""

    def template(self, width: int) -> bytes:
        """The column's text before it is written."""

    def write(self, area: ByteRows) -> None:
        """Write the values of the last `fit` into `area`, the column's bytes of as many rows."""


class _TruncatedColumn:
    """The `truncated` key: of width 0 in a batch where no field was truncated."""

    align, phase = 1, 0

    def __init__(self, emit: Emit, rows: int) -> None:
        at = _AT["truncated"]
        self._bytes = slice(at, at + 4)
        self._tokens = TokenColumn(at, 4, make_truncated_renderer(emit), rows)

    def fit(self, records: ByteRows) -> int:
        return self._tokens.fit(records) if records[:, self._bytes].any() else 0

    def template(self, width: int) -> bytes:
        return self._tokens.template(width)

    def write(self, area: ByteRows) -> None:
        self._tokens.write(area)


class _LineLayout:
    """The position of each column in a line, for one choice of widths."""

    __slots__ = ("columns", "slices", "width")

    def __init__(
        self, literals: Sequence[bytes], columns: Sequence[_LineColumn], widths: list[int]
    ):
        self.columns = columns
        self.slices: list[slice] = []
        at = 0
        for literal, column, width in zip(literals, columns, widths, strict=False):
            at += len(literal)
            if width:
                at += (column.phase - at) % column.align
            self.slices.append(slice(at, at + width))
            at += width
        self.width = -(-(at + len(literals[-1])) // 8) * 8

    def template(self, literals: Sequence[bytes]) -> bytes:
        """One line with the columns' templates in their places."""
        line = b""
        for literal, column, where in zip(literals, self.columns, self.slices, strict=False):
            line = (line + literal).ljust(where.start) + column.template(where.stop - where.start)
        return line + literals[-1].rjust(self.width - len(line))


class LineRenderer:
    """Renders the records of one emit.

    `constants`: fields of every line, between `event` and `probe` (run_id, plan, host);
    `wall_offset_ns`: CLOCK_MONOTONIC plus this is ns since 1970; `stacks`: the names to show for a
    stack's number. A batch has at most `rows` records; `render_chunks` splits larger ones.
    """

    def __init__(
        self,
        emit: Emit,
        constants: Mapping[str, str | int],
        wall_offset_ns: int,
        stacks: StackNames = no_stacks,
    ) -> None:
        self._stacks = stacks
        widest = _COMMON + sum(bound_token_size(field) for field in emit.fields)
        self.rows = max(64, min(_ROWS, _MATRIX_LIMIT // widest))
        self._scratch = Scratch(self.rows)
        self._clock = Clock(wall_offset_ns, self._scratch)
        self._literals: list[bytes] = [b""]
        self._columns: list[_LineColumn] = []
        self._bits: list[tuple[int, int]] = []  # (column, bit in the header's nulls)
        self._build_line(emit, constants)
        self._layouts: dict[tuple[int, ...], _LineLayout] = {}
        self._layout: _LineLayout | None = None
        self._second = -1
        self._filled = 0
        self._matrix: ByteRows = np.empty((0, 0), dtype=np.uint8)
        self._buffer: ByteRows = np.empty(0, dtype=np.uint8)

    def set_wall_offset(self, offset_ns: int) -> None:
        """Use another `wall_offset_ns` from now on."""
        self._clock.set_offset(offset_ns)

    def render(self, records: Records) -> memoryview | bytes:
        """The JSON lines of `records`; a memoryview is valid until the next call."""
        rows = _view_bytes(records)
        if len(rows) <= self.rows:
            return self.fill_matrix(rows).data.cast("B") if len(rows) else b""
        return b"".join(bytes(chunk) for chunk in self.render_chunks(rows))

    def render_chunks(self, records: Records) -> Iterator[memoryview]:
        """The JSON lines piece by piece: each is valid until the next is asked for."""
        rows = _view_bytes(records)
        for start in range(0, len(rows), self.rows):
            yield self.fill_matrix(rows[start : start + self.rows]).data.cast("B")

    def fill_matrix(self, records: ByteRows) -> ByteRows:
        """The lines of 1 to `rows` records as rows of bytes; valid until the next call."""
        self._clock.read(records)
        widths = [column.fit(records) for column in self._columns]
        layout = self._prepare_lines(widths, len(records))
        lines = self._matrix[: len(records)]
        for column, where in zip(self._columns, layout.slices, strict=True):
            if where.start != where.stop:
                column.write(lines[:, where])
        self._write_nulls(records, lines, layout)
        if self._clock.others:  # their dates have replaced the template's
            self._filled = 0
        return lines

    def _write_nulls(self, records: ByteRows, lines: ByteRows, layout: _LineLayout) -> None:
        nulls = records[:, _AT["nulls"] : _AT["nulls"] + 4].view("<u4")[:, 0]
        if not nulls.any():
            return
        for column, bit in self._bits:
            rows = np.flatnonzero(nulls & np.uint32(1 << bit))
            if rows.size:
                overlay_tokens(lines[:, layout.slices[column]], rows, [b"null"])

    def _prepare_lines(self, widths: list[int], n: int) -> _LineLayout:
        """Choose the layout, and fill the constant parts of the first `n` lines."""
        key = tuple(widths)
        layout = self._layouts.get(key)
        if layout is None:
            if len(self._layouts) >= _LAYOUTS:
                self._layouts.clear()
            layout = self._layouts[key] = _LineLayout(self._literals, self._columns, widths)
        if layout is not self._layout or self._clock.second != self._second:
            self._layout, self._second, self._filled = layout, self._clock.second, 0
            self._reshape_matrix(layout.width)
        if n > self._filled:
            template = np.frombuffer(layout.template(self._literals), dtype=np.uint8)
            self._matrix[self._filled : n] = template
            self._filled = n
        return layout

    def _reshape_matrix(self, width: int) -> None:
        need = self.rows * width
        if self._buffer.size < need:
            self._buffer = np.empty(need, dtype=np.uint8)
        self._matrix = self._buffer[:need].reshape(self.rows, width)

    def _build_line(self, emit: Emit, constants: Mapping[str, str | int]) -> None:
        self._add_text('{"ts":')
        self._add_column(StampColumn(self._clock))
        fixed = {"level": "info", "event": "event.recorded", **constants, "probe": emit.probe}
        self._add_text("," + dump_json(fixed)[1:-1].decode() + ',"time_unix_nano":')
        self._add_column(UnixNanoColumn(self._clock))
        self._add_header("cpu")
        if emit.has_task:
            self._add_header("pid")
            self._add_header("tid")
            self._add_text(',"comm":')
            self._add_column(TokenColumn(_AT["comm"], COMM_SIZE, _render_comm, self.rows))
        self._add_header("weight")
        self._add_text(',"data":{')
        for i, field in enumerate(emit.fields):
            self._add_text("," * bool(i) + dump_json(field.name).decode() + ":")
            self._bits.append((len(self._columns), field.bit))
            self._add_column(self._make_column(field))
        self._add_text("}")
        self._add_column(_TruncatedColumn(emit, self.rows))
        self._add_text("}\n")

    def _make_column(self, field: RecordField) -> _LineColumn:
        if is_number(field):
            return NumberColumn(field.offset, field.form, self._scratch)
        text = field.form == "string"
        return TokenColumn(
            field.offset,
            field.size,
            make_token_renderer(field, self._stacks),
            self.rows,
            until_nul=text,
        )

    def _add_header(self, name: str) -> None:
        self._add_text(f',"{name}":')
        self._add_column(NumberColumn(_AT[name], _FORM[name], self._scratch))

    def _add_text(self, text: str) -> None:
        self._literals[-1] += text.encode()

    def _add_column(self, column: _LineColumn) -> None:
        self._columns.append(column)
        self._literals.append(b"")


class RecordRenderer:
    """Renders batches with records of several emits, in their order."""

    def __init__(
        self,
        emits: Sequence[Emit],
        constants: Mapping[str, str | int],
        wall_offset_ns: int,
        stacks: StackNames = no_stacks,
    ) -> None:
        self._emits = {
            emit.index: LineRenderer(emit, constants, wall_offset_ns, stacks) for emit in emits
        }
        self._rows = min((lines.rows for lines in self._emits.values()), default=_ROWS)
        self._buffer: ByteRows = np.empty(0, dtype=np.uint8)

    def set_wall_offset(self, offset_ns: int) -> None:
        """Use another `wall_offset_ns` from now on."""
        for lines in self._emits.values():
            lines.set_wall_offset(offset_ns)

    def render(self, records: Records) -> memoryview | bytes:
        """The JSON lines of `records`; a memoryview is valid until the next call."""
        if len(records) <= self._rows:
            return next(self.render_chunks(records), b"")
        return b"".join(bytes(chunk) for chunk in self.render_chunks(records))

    def render_chunks(self, records: Records) -> Iterator[memoryview]:
        """The JSON lines piece by piece: each is valid until the next is asked for."""
        rows = _view_bytes(records)
        for start in range(0, len(rows), self._rows):
            yield self._render_chunk(rows[start : start + self._rows]).data.cast("B")

    def _render_chunk(self, records: ByteRows) -> ByteRows:
        at = _AT["emit"]
        emits = records[:, at : at + 2].view("<u2")[:, 0]
        if (emits == emits[0]).all():
            return self._emits[int(emits[0])].fill_matrix(records)
        return self._interleave(records, emits)

    def _interleave(self, records: ByteRows, emits: npt.NDArray[np.uint16]) -> ByteRows:
        """Render the records of each emit together, then copy every line to its record's place."""
        widths = np.empty(len(records), dtype=np.intp)
        parts = []
        for emit in find_distinct(emits):
            rows = np.flatnonzero(emits == emit)
            lines = self._emits[int(emit)].fill_matrix(records[rows])
            widths[rows] = lines.shape[1]
            parts.append((rows, lines))
        ends = np.cumsum(widths)
        total = int(ends[-1])
        if self._buffer.size < total:
            self._buffer = np.empty(total, dtype=np.uint8)
        for rows, lines in parts:
            _scatter_lines(self._buffer[:total], ends[rows] - lines.shape[1], lines)
        return self._buffer[:total]


def _scatter_lines(buffer: ByteRows, starts: npt.NDArray[np.intp], lines: ByteRows) -> None:
    """Copy each line to its start. A view with one item at each byte lets numpy copy whole
    lines."""
    width = lines.shape[1]
    item = np.dtype((np.void, width))
    view = np.ndarray((buffer.size - width + 1,), dtype=item, buffer=buffer.data, strides=(1,))
    view[starts] = lines.view(item)[:, 0]


def _render_comm(raw: bytes) -> bytes:
    return dump_json(text_from_kernel(raw))


def _view_bytes(records: Records) -> ByteRows:
    if records.dtype.names is None and records.ndim == 2:
        return records.view(np.uint8)
    first = records.getfield(np.dtype("u1"), 0)  # its bytes, padding included, wherever they lie
    return np.lib.stride_tricks.as_strided(
        first, (len(records), records.itemsize), (records.strides[0], 1), writeable=False
    )
