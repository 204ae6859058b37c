"""One value of a record as the text of a cell: with its unit, printable, in a style."""

import re
from collections.abc import Callable
from typing import NamedTuple

from orchestrator.compile.program import RecordField
from orchestrator.output.fields import FieldValue, StackNames, decode_field, is_number, no_stacks
from orchestrator.output.rows.style import Style
from orchestrator.output.terminal.human_units import format_amount, is_address
from orchestrator.plan.printable import make_printable

__all__ = ["RowCell", "make_cell_renderer"]

_ERROR_NAME = re.compile(r"-?E[A-Z0-9]{2,14}$")  # include/uapi/asm-generic/errno.h
_UNREAD = "?"


class RowCell(NamedTuple):
    """A text without control characters, and its style."""

    text: str
    style: Style = ""


def make_cell_renderer(
    field: RecordField, stacks: StackNames = no_stacks
) -> Callable[[bytes], RowCell]:
    """The function from a whole record's bytes to this field's cell."""
    null_bit = 1 << field.bit
    where = slice(field.offset, field.offset + field.size)

    def render(record: bytes) -> RowCell:
        if int.from_bytes(record[24:28], "little") & null_bit:
            return RowCell(_UNREAD, "unknown")
        cell = _render_value(field, decode_field(field, record[where], stacks))
        is_cut = int.from_bytes(record[28:32], "little") & null_bit
        return RowCell(f"{cell.text}…", cell.style) if is_cut else cell

    return render


def _render_value(field: RecordField, value: FieldValue) -> RowCell:
    if value is None:
        form = "" if field.presentation is None else field.presentation.form
        return RowCell("-") if form in ("errno", "container") else RowCell(_UNREAD, "unknown")
    if isinstance(value, bool):
        return RowCell(str(value).lower())
    if isinstance(value, int):
        return RowCell(_format_number(field, value), "failure" if value < 0 else "")
    if isinstance(value, list):
        return RowCell(" < ".join(map(make_printable, value)) or "(no frames)")
    text = make_printable(value)
    stands_for = field.presentation is not None and not is_number(field)
    return RowCell(text, "failure" if stands_for and _ERROR_NAME.match(text) else "")


def _format_number(field: RecordField, value: int) -> str:
    if field.unit in ("ns", "bytes"):
        return format_amount(value, field.unit)
    return f"{value:#x}" if is_address(value, field.size, field.unit) else str(value)
