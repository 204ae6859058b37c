"""Lowers typed notes to the program's."""

from collections.abc import Mapping

from orchestrator.compile.expressions.notes import NoteShape
from orchestrator.compile.expressions.types import size_of
from orchestrator.compile.layout import lay_out_key, record_form
from orchestrator.compile.metrics import convert_to_form
from orchestrator.compile.program import KeyField, NoteField, NoteProgram, NoteUse
from orchestrator.compile.type_hook import NoteDraft
from orchestrator.plan.model import Note

__all__ = ["lower_note", "make_note_use"]


def lower_note(note: Note, shape: NoteShape) -> NoteProgram:
    """The note of the program."""
    key, size = _lay_out_key(shape)
    return NoteProgram(
        index=shape.index,
        name=note.name,
        key=key,
        key_size=size,
        kept=tuple(
            NoteField(
                name=name,
                type=kept.type,
                form=record_form(kept.type, name, note.position),
                size=size_of(kept.type),
            )
            for name, kept in shape.kept.items()
        ),
        most=note.most,
        once=note.once,
        position=note.position,
    )


def _lay_out_key(shape: NoteShape) -> tuple[tuple[KeyField, ...], int]:
    parts = shape.parts or ()
    names = list(shape.key) if len(shape.key) == len(parts) else [str(i) for i in range(len(parts))]
    fields = [(name, kind, None) for name, kind in zip(names, parts, strict=True)]
    return lay_out_key(fields, shape.position)


def make_note_use(draft: NoteDraft, notes: Mapping[str, NoteProgram]) -> NoteUse:
    """What one hook does to a note: its expressions in the note's forms."""
    note = notes[draft.name]
    nodes = [node for _, node in draft.key]
    return NoteUse(
        note=note.index,
        role=draft.role,
        key=tuple(convert_to_form(n, f.form) for n, f in zip(nodes, note.key, strict=True)),
        kept=tuple(
            (index, convert_to_form(draft.keep[kept.name], kept.form))
            for index, kept in enumerate(note.kept)
            if draft.role == "set"
        ),
    )
