"""The types of notes, which the probes that set them decide, and all others depend on."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from orchestrator.compile.alternatives import complete_item
from orchestrator.compile.expressions.data_sources import DataSources
from orchestrator.compile.expressions.nodes import Const, Node, ShownAs
from orchestrator.compile.expressions.notes import KeptShape, NamedNodes, NoteShape
from orchestrator.compile.expressions.scope import ScalarParam
from orchestrator.compile.expressions.types import S32, Type
from orchestrator.compile.expressions.typing import Typer
from orchestrator.compile.layout import merge_presentations, record_form, show_as, unify_types
from orchestrator.compile.point import Point
from orchestrator.compile.points import find_points
from orchestrator.compile.type_hook import (
    HookDraft,
    NoteDraft,
    draft_notes,
    make_redactor,
    make_scope,
)
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import PlanError, is_about_host, plan_error
from orchestrator.plan.model import AttachItem, Note, Plan, Probe
from orchestrator.plan.notes.uses import order_notes
from orchestrator.values import dataclass

__all__ = ["NoteParts", "find_shapes", "guess_shapes", "parts_of_drafts"]

Shapes = Mapping[str, NoteShape]
_NOTHING = Const(0, S32)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteParts:
    """One hook's part in all notes: its attach point, what it does to them, the keys by which it
    reads them, and where its values come from."""

    label: str
    notes: tuple[NoteDraft, ...]
    looks: Mapping[str, Sequence[NamedNodes]]
    sources: DataSources


def parts_of_drafts(drafts: Iterable[HookDraft]) -> list[NoteParts]:
    """The parts of typed hooks."""
    return [
        NoteParts(
            label=one.point.label,
            notes=one.notes,
            looks=one.typer.looks,
            sources=one.redactor.sources,
        )
        for one in drafts
    ]


def find_shapes(plan: Plan, parts: Sequence[NoteParts]) -> dict[str, NoteShape]:
    """The notes as these hooks set, drop and read them. Raises PlanError where they do not agree
    on a type, or where nothing that is attached here sets a note."""
    return {note.name: _find_shape(index, note, parts) for index, note in enumerate(plan.notes)}


def _find_shape(index: int, note: Note, parts: Sequence[NoteParts]) -> NoteShape:
    uses = [(part, use) for part in parts for use in part.notes if use.name == note.name]
    sets = [(part, use) for part, use in uses if use.role == "set"]
    if not sets:
        needed = " or ".join(note.set_by)
        message = f"the note {note.name!r} needs {needed}, which cannot be attached here"
        raise plan_error("PP080", message, note.position)
    keys = [use.key for _, use in uses]
    looks = [key for part in parts for key in part.looks.get(note.name, ())]
    return NoteShape(
        index=index,
        name=note.name,
        key=note.key,
        parts=_unify_keys(note, [*keys, *looks]),
        kept={name: _find_kept(note, name, sets) for name in note.keep},
        position=note.position,
    )


def _unify_keys(note: Note, keys: Sequence[NamedNodes]) -> tuple[Type, ...]:
    """The type of each part of the key, by which probes set, drop and read the note."""
    names = [name for name, _ in keys[0]]
    if any([name for name, _ in key] != names for key in keys):
        message = f"the key of the note {note.name!r} has not the same parts at all probes"
        raise plan_error("PP090", message, note.position)
    return tuple(
        unify_types([key[at][1].type for key in keys], name, note.position)
        for at, name in enumerate(names)
    )


def _find_kept(note: Note, name: str, sets: Sequence[tuple[NoteParts, NoteDraft]]) -> KeptShape:
    nodes = [use.keep[name] for _, use in sets]
    place = note.keep[name].position
    kind = unify_types([node.type for node in nodes], name, place)
    record_form(kind, name, place)
    return KeptShape(
        type=kind,
        points=tuple(part.label for part, _ in sets),
        shown=_show(nodes, kind),
        behind=tuple((part.sources, use.keep[name]) for part, use in sets),
    )


def _show(nodes: Sequence[Node], kind: Type) -> ShownAs | None:
    """How what is read is shown, by how it is where it is kept."""
    shown = show_as(_NOTHING, kind, merge_presentations(nodes))
    return shown if isinstance(shown, ShownAs) else None


# ---------------------------------------------------------------- before anything is chosen


def guess_shapes(
    plan: Plan, facts: KernelFacts, params: Mapping[str, ScalarParam]
) -> dict[str, NoteShape]:
    """The notes as the first attach points set them at which what they keep has a type: those that
    are chosen in the end may be others. Raises PlanError."""
    shapes: dict[str, NoteShape] = {}
    order = {note.name: index for index, note in enumerate(plan.notes)}
    for note in order_notes(plan):
        guesser = _Guesser(plan, facts, params, shapes)
        shapes[note.name] = _find_shape(order[note.name], note, list(guesser.draft_parts(note)))
    return shapes


class _Guesser:
    def __init__(
        self,
        plan: Plan,
        facts: KernelFacts,
        params: Mapping[str, ScalarParam],
        shapes: Shapes,
    ) -> None:
        self.plan, self.facts, self.params, self.shapes = plan, facts, params, shapes

    def draft_parts(self, note: Note) -> Iterator[NoteParts]:
        """The parts of the hooks that set the note."""
        for probe in self.plan.probes:
            if probe.name in note.set_by:
                yield from self._draft_probe(note, probe)

    def _draft_probe(self, note: Note, probe: Probe) -> Iterator[NoteParts]:
        refused: list[PlanError] = []
        taken = 0
        for item in probe.items:
            try:
                parts = [self._draft_point(note, probe, item, p) for p in self._find(probe, item)]
            except PlanError as error:
                if not is_about_host(error):
                    raise
                refused.append(error)
                continue
            yield from parts
            taken += 1
            if probe.mode == "first":
                return
        if refused and not taken and not probe.optional:
            raise PlanError([finding for error in refused for finding in error.findings])

    def _find(self, probe: Probe, item: AttachItem) -> Sequence[Point]:
        return find_points(complete_item(item, probe), self.facts, self.plan.limits.probes)

    def _draft_point(self, note: Note, probe: Probe, item: AttachItem, point: Point) -> NoteParts:
        task = item.task if item.task is not None else probe.task
        scope = make_scope(
            self.plan, probe, item, point, self.facts, 0, self.params, task, self.shapes
        )
        typer = Typer(scope)
        redactor = make_redactor(probe, point, typer)
        alone = replace(self.plan, notes=(note,))
        drafts = draft_notes(alone, probe, typer, redactor)
        return NoteParts(label=point.label, notes=drafts, looks={}, sources=redactor.sources)
