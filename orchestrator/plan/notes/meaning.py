"""Checks of notes: do they fit the probes that set, drop and read them?"""

from collections.abc import Iterator, Mapping, Sequence

from orchestrator.plan.document.document_paths import DocumentPath
from orchestrator.plan.document.finding_collector import FindingCollector
from orchestrator.plan.expression_meaning import ExpressionChecker
from orchestrator.plan.model import Note, Plan, Probe
from orchestrator.plan.naming.probe_names import check_key, find_probes
from orchestrator.plan.notes.uses import find_circle, notes_used_by
from orchestrator.plan.scopes import probe_scope

__all__ = ["check_notes"]


def check_notes(plan: Plan, checker: ExpressionChecker, collector: FindingCollector) -> None:
    """Report to `collector` what is wrong with the plan's notes."""
    for note in plan.notes:
        _NoteChecker(plan, note, checker, collector).check()
    if circle := find_circle(plan):
        place = collector.document.key_position(("notes", circle[0]))
        message = f"the note {circle[0]!r} is kept by itself: " + " → ".join((*circle, circle[0]))
        hint = "what a note keeps, and its key, can use other notes, but not in a circle"
        collector.add("PP025", message, place, hint)


class _NoteChecker:
    """The checks of one note."""

    def __init__(
        self, plan: Plan, note: Note, checker: ExpressionChecker, collector: FindingCollector
    ) -> None:
        self.plan, self.note, self.checker, self.collector = plan, note, checker, collector
        self.path: DocumentPath = ("notes", note.name)

    def check(self) -> None:
        setting = self._find_probes("set", self.note.set_by)
        dropping = self._find_probes("drop", self.note.drop_by)
        self._check_roles()
        self._check_sampling({probe.name: probe for probe in (*setting, *dropping)})
        reading = [probe for probe in self.plan.probes if self._is_read_by(probe)]
        probes = {probe.name: probe for probe in (*setting, *dropping, *reading)}
        why = f", by which the note {self.note.name!r} is found"
        check_key(self.plan, self.path, self.note.key, [*probes.values()], self.collector, why)
        for probe in setting:
            for expr in self.note.keep.values():
                self.checker.check(expr, probe_scope(self.plan, probe))
        if not reading and not any(self.note.name in used for used in self._list_other_uses()):
            place = self.collector.document.key_position(self.path)
            hint = f"read it in a probe: note.{self.note.name}.NAME, noted({self.note.name})"
            message = f"no probe reads the note {self.note.name!r}"
            self.collector.add("PP053", message, place, hint)

    def _find_probes(self, role: str, names: Sequence[str]) -> list[Probe]:
        """The probes that exist; the others are reported."""
        found = find_probes(self.plan, (*self.path, role), names, self.collector)
        return [probe for probe, _ in found]

    def _check_roles(self) -> None:
        for name in self.note.drop_by:
            if name in self.note.set_by:
                message = f"{name!r} both sets and drops this note"
                hint = "make a second probe at the same attach point"
                place = self.collector.document.value_position((*self.path, "drop"))
                self.collector.add("PP063", message, place, hint)

    def _check_sampling(self, probes: Mapping[str, Probe]) -> None:
        for name, probe in probes.items():
            if probe.sample != 1:
                message = f"{name!r} sets or drops a note and must see every event"
                hint = "leave out `sample`, and sample at the probes that read the note"
                place = self.collector.document.key_position(("probes", name, "sample"))
                self.collector.add("PP061", message, place, hint)

    def _is_read_by(self, probe: Probe) -> bool:
        return self.note.name in notes_used_by(self.plan, probe)

    def _list_other_uses(self) -> Iterator[frozenset[str]]:
        """What other notes use at the probes that set them."""
        for other in self.plan.notes:
            for probe in self.plan.probes:
                if other is not self.note and probe.name in other.set_by:
                    yield notes_used_by(self.plan, probe, tuple(other.keep.values()), other.key)
