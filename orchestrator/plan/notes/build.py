"""Notes, from a checked document."""

from orchestrator.plan import units
from orchestrator.plan.document.document_paths import DocumentPath
from orchestrator.plan.model import Note
from orchestrator.plan.reader import DocumentReader

__all__ = ["build_notes"]

_MOST = 10_000_000


def build_notes(reader: DocumentReader) -> tuple[Note, ...]:
    """The plan's notes, in the order of the file."""
    return tuple(_build_note(reader, ("notes", name)) for name in reader.get(("notes",), {}))


def _build_note(reader: DocumentReader, path: DocumentPath) -> Note:
    return Note(
        name=str(path[-1]),
        set_by=reader.names((*path, "set")),
        drop_by=reader.names((*path, "drop")),
        key=reader.names((*path, "key")),
        keep=reader.expressions((*path, "keep")),
        most=reader.quantity((*path, "max"), _parse_most, 10_000),
        once=reader.get((*path, "once"), False),
        position=reader.collector.document.key_position(path),
    )


def _parse_most(text: str) -> int:
    return units.parse_count(text, high=_MOST)
