"""Chooses the attach points of each probe that this kernel offers: of alternatives the first."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from orchestrator.compile.choose_tags import choose_tags, with_tag
from orchestrator.compile.expressions.notes import NoteShape
from orchestrator.compile.expressions.scope import ScalarParam
from orchestrator.compile.globs import is_glob
from orchestrator.compile.point import Point
from orchestrator.compile.points import find_points
from orchestrator.compile.program import Skipped
from orchestrator.compile.type_hook import HookDraft, type_hook
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import (
    Finding,
    HostError,
    PlanError,
    is_about_host,
    plan_error,
    raise_findings,
)
from orchestrator.plan.model import AttachItem, Plan, Probe

__all__ = ["Alternatives", "complete_item"]


class Alternatives:
    """Tries the items of a plan's probes, and numbers the hooks of those that it takes. `skipped`
    has the others, with the reasons."""

    def __init__(
        self,
        plan: Plan,
        facts: KernelFacts,
        params: Mapping[str, ScalarParam],
        notes: Mapping[str, NoteShape],
    ) -> None:
        self._plan, self._facts, self._params, self._notes = plan, facts, params, notes
        self.skipped: list[Skipped] = []
        self._findings: list[Finding] = []
        self._hooks = 0
        self._func_numbers: dict[str, int] = {}

    def type_probes(self) -> list[tuple[Probe, list[HookDraft]]]:
        """Each probe that this kernel offers, with its hooks. Raises PlanError and HostError, with
        the findings of all probes."""
        tags = choose_tags(self._plan, self._can_resolve)
        typed: list[tuple[Probe, list[HookDraft]]] = []
        for probe in self._plan.probes:
            tag = tags.get(probe.name)
            chosen = probe if tag is None else self._with_tag(probe, tag)
            if (drafts := self._try_probe(chosen)) is not None:
                typed.append((probe, drafts))
        raise_findings(self._findings)
        if not typed:
            raise HostError([self._nothing_left_finding()])
        return typed

    def _can_resolve(self, probe: Probe) -> bool:
        before = len(self.skipped)
        try:
            self._hooks_of(probe)
        except PlanError:
            return False
        finally:
            del self.skipped[before:]
        return True

    def _with_tag(self, probe: Probe, tag: str) -> Probe:
        for item in probe.items:
            if item.tag not in ("", tag):
                reason = f"its span attaches by the items with `as: {tag}`"
                self.skipped.append(Skipped(probe=probe.name, item=item.text, reason=reason))
        return with_tag(probe, tag)

    def _try_probe(self, probe: Probe) -> list[HookDraft] | None:
        """The probe's hooks, or None with its findings noted. A probe that is left out uses no
        numbers."""
        before = self._hooks
        try:
            return self._type_probe(probe)
        except PlanError as error:
            self._hooks = before
            if not (probe.optional and is_about_host(error)):
                self._findings += error.findings
            elif all(skipped.probe != probe.name for skipped in self.skipped):
                self._note_skipped(probe, probe.items[0], error)
            return None

    def _type_probe(self, probe: Probe) -> list[HookDraft]:
        drafts = self._hooks_of(probe)
        self._hooks += len(drafts)
        if self._hooks > self._plan.limits.probes:
            raise plan_error(
                "PP094",
                f"{self._hooks} attach points; limits.probes allows {self._plan.limits.probes}",
                probe.position,
                f"raise limits.probes: --limit probes={self._hooks}, or more for other probes",
            )
        return drafts

    def _hooks_of(self, probe: Probe) -> list[HookDraft]:
        return self._type_first(probe) if probe.mode == "first" else self._type_all(probe)

    def _type_first(self, probe: Probe) -> list[HookDraft]:
        """The drafts of the first item that this kernel offers, expressions included."""
        refused: list[Finding] = []
        for item in probe.items:
            try:
                return self._type_item(probe, item)
            except PlanError as error:
                if not is_about_host(error):
                    raise
                refused += error.findings
                self._note_skipped(probe, item, error)
        raise PlanError(refused)

    def _type_all(self, probe: Probe) -> list[HookDraft]:
        drafts: list[HookDraft] = []
        refused: list[Finding] = []
        for item in probe.items:
            try:
                drafts += self._type_item(probe, item, len(drafts))
            except PlanError as error:
                if _is_optional(probe, item) and is_about_host(error):
                    self._note_skipped(probe, item, error)
                else:
                    refused += error.findings
        if refused:
            raise PlanError(dict.fromkeys(refused))
        if not drafts:
            raise plan_error(
                "PP080", f"no attach point of {probe.name!r} is offered here", probe.position
            )
        return drafts

    def _type_item(self, probe: Probe, item: AttachItem, before: int = 0) -> list[HookDraft]:
        points = find_points(complete_item(item, probe), self._facts, self._plan.limits.probes)
        may_leave_out = _is_optional(probe, item) and _are_of_a_glob(item, points)
        drafts: list[HookDraft] = []
        refused: list[tuple[AttachItem, PlanError]] = []
        for point in points:
            try:
                drafts.append(self._type_point(probe, item, point, before + len(drafts)))
            except PlanError as error:
                if not (may_leave_out and is_about_host(error)):
                    raise _ExpressionError(_hint_at_glob(item, error)) from None
                refused.append((replace(item, text=point.label), error))
        if not drafts and refused:
            raise _ExpressionError(refused[0][1].findings) from None
        for one, why in refused:  # of a glob, some have what the plan asks for
            self._note_skipped(probe, one, _ExpressionError(why.findings))
        return drafts

    def _type_point(self, probe: Probe, item: AttachItem, point: Point, before: int) -> HookDraft:
        is_new = point.func not in self._func_numbers
        try:
            return type_hook(
                self._plan,
                probe,
                item,
                point,
                self._facts,
                self._hooks + before,
                self._number_func(point.func),
                self._params,
                self._notes,
            )
        except PlanError:
            if is_new:
                del self._func_numbers[point.func]
            raise

    def _number_func(self, func: str) -> int:
        """The number that `func` has in keys: several attach points of one name are one cell."""
        return self._func_numbers.setdefault(func, len(self._func_numbers))

    def _note_skipped(self, probe: Probe, item: AttachItem, error: PlanError) -> None:
        reason = "; ".join(finding.message for finding in error.findings)
        doubts = _list_doubts(item, error) if _is_optional(probe, item) else ()
        self.skipped.append(
            Skipped(
                probe=probe.name,
                item=item.text,
                reason=reason,
                position=item.position,
                doubts=doubts,
            )
        )

    def _nothing_left_finding(self) -> Finding:
        reasons = "; ".join(f"{item.probe}: {item.reason}" for item in self.skipped)
        return Finding(
            code="PP080",
            message=f"every probe is optional, and none can be attached here ({reasons})",
            position=self._plan.probes[0].position,
            hint="give one of them an attach point that this kernel has",
        )


def _is_optional(probe: Probe, item: AttachItem) -> bool:
    return item.optional or probe.optional


def _are_of_a_glob(item: AttachItem, points: Sequence[Point]) -> bool:
    """Whether some of the points can be left out. Of several places of one name none can: the
    others would count a part of it."""
    return is_glob(item.target) and len({point.label for point in points}) == len(points)


def _hint_at_glob(item: AttachItem, error: PlanError) -> tuple[Finding, ...]:
    """The findings; those about one of the attach points of a glob say how to do without it."""
    if not is_glob(item.target):
        return error.findings
    how = "narrow the glob, or leave out those without it by `optional: true`"
    return tuple(
        replace(finding, hint=f"{finding.hint}; {how}" if finding.hint else how)
        if finding.code == "PP082"
        else finding
        for finding in error.findings
    )


class _ExpressionError(PlanError):
    """The attach point is there; an expression does not resolve at it."""


def _list_doubts(item: AttachItem, error: PlanError) -> tuple[Finding, ...]:
    """Warnings about names that an optional attach point does not know: it is left out for them, as
    the plan wants it where a kernel lacks a member, and as it looks where a name is misspelt."""
    if not isinstance(error, _ExpressionError):
        return ()
    return tuple(
        replace(
            finding,
            message=f"{item.text} is left out: {finding.message}",
            severity="warning",
        )
        for finding in error.findings
        if finding.code == "PP082"
    )


def complete_item(item: AttachItem, probe: Probe) -> AttachItem:
    """The item with its probe's `args` and `returns` where it has none, and what the probe
    accepts."""
    return replace(
        item,
        args=item.args or probe.args,
        returns=item.returns or probe.returns,
        unsafe_return=probe.unsafe_return,
    )
