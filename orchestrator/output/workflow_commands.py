"""Annotations as workflow commands of GitHub Actions: lines of output that its runner obeys."""

from typing import Literal

from orchestrator.plan.findings import Position
from orchestrator.plan.printable import make_printable

__all__ = ["AnnotationLevel", "format_annotation"]

AnnotationLevel = Literal["error", "warning", "notice"]


def format_annotation(
    level: AnnotationLevel, message: str, *, title: str, position: Position | None = None
) -> str:
    """One line that annotates a place of a file; `position` None: it is of no file. Nothing in
    these texts ends the line or begins another command."""
    fields = {} if position is None else {"file": position.file}
    if position is not None and position.line:
        fields |= {"line": str(position.line), "col": str(position.column)}
    fields["title"] = title
    shown = ",".join(f"{key}={_escape(value, ':,')}" for key, value in fields.items())
    return f"::{level} {shown}::{_escape(message)}"


def _escape(text: str, more: str = "") -> str:
    """The runner percent-decodes what would end a field or a line."""
    lines = "\n".join(map(make_printable, text.split("\n")))
    return "".join(f"%{ord(char):02X}" if char in f"%\r\n{more}" else char for char in lines)
