"""One value of a record as the text of a cell: with its unit, printable, in a style."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from orchestrator.compile.program import RecordField
from orchestrator.output.fields import (
    FieldValue,
    ShownField,
    StackNames,
    decode_field,
    no_stacks,
    shown_field,
)
from orchestrator.output.forms import name_container
from orchestrator.output.rows.style import Style
from orchestrator.output.terminal.human_units import format_amount, is_address
from orchestrator.plan.printable import make_printable

__all__ = ["RowCell", "make_cell_renderer", "show_logged", "show_value"]

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
    shown = shown_field(field)

    def render(record: bytes) -> RowCell:
        if int.from_bytes(record[24:28], "little") & null_bit:
            return RowCell(_UNREAD, "unknown")
        is_cut = bool(int.from_bytes(record[28:32], "little") & null_bit)
        return show_value(shown, decode_field(field, record[where], stacks), is_cut=is_cut)

    return render


def show_logged(field: ShownField, value: Any, *, is_cut: bool = False) -> RowCell:
    """A value as the log has it: of a container the log has all that is known, and people see its
    name; a value that could not be read is null there, as the error of a success is."""
    return show_value(field, _read_logged(value), is_cut=is_cut)


def _read_logged(value: Any) -> FieldValue:
    """Whatever a log may have, also one that no run wrote."""
    if isinstance(value, list):
        return [str(part) for part in value]
    if isinstance(value, dict):
        return name_container({name: part and str(part) for name, part in value.items()})
    return value if value is None or isinstance(value, str | int) else str(value)


def show_value(field: ShownField, value: FieldValue, *, is_cut: bool = False) -> RowCell:
    """The cell of a value; None: of what there is none. `is_cut`: it is longer than its field."""
    cell = _render_value(field, value)
    return RowCell(f"{cell.text}…", cell.style) if is_cut else cell


def _render_value(field: ShownField, value: FieldValue) -> RowCell:
    if value is None:
        has_none = field.shown_as in ("errno", "container")
        return RowCell("-") if has_none else RowCell(_UNREAD, "unknown")
    if isinstance(value, bool):
        return RowCell(str(value).lower())
    if isinstance(value, int):
        return RowCell(_format_number(field, value), "failure" if value < 0 else "")
    if isinstance(value, list):
        return RowCell(" < ".join(map(make_printable, value)) or "(no frames)")
    text = make_printable(value)
    return RowCell(text, "failure" if field.shown_as and _ERROR_NAME.match(text) else "")


def _format_number(field: ShownField, value: int) -> str:
    if field.unit in ("ns", "bytes"):
        return format_amount(value, field.unit)
    return f"{value:#x}" if is_address(value, field.size, field.unit) else str(value)
