"""Types a plan whose probes read what others keep."""

from collections.abc import Mapping, Sequence

from orchestrator.compile.alternatives import Alternatives
from orchestrator.compile.expressions.notes import NoteShape
from orchestrator.compile.expressions.scope import ScalarParam
from orchestrator.compile.notes.shapes import find_shapes, guess_shapes, parts_of_drafts
from orchestrator.compile.program import Skipped
from orchestrator.compile.type_hook import HookDraft
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import PlanError, plan_error, raise_findings
from orchestrator.plan.model import Plan, Probe
from orchestrator.values import dataclass

__all__ = ["TypedPlan", "type_plan"]

#: Which attach points are chosen depends on the types of notes, and these on the attach points.
#: Each round brings one more note of a chain to its type.
_MOST_ROUNDS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedPlan:
    """The plan's probes with their hooks, what was not taken, and its notes by name."""

    probes: list[tuple[Probe, list[HookDraft]]]
    skipped: Sequence[Skipped]
    notes: Mapping[str, NoteShape]


def type_plan(plan: Plan, facts: KernelFacts, params: Mapping[str, ScalarParam]) -> TypedPlan:
    """All probes that this kernel offers, typed with the notes that they read. Raises PlanError and
    HostError."""
    try:
        return _find_types(plan, facts, params)
    except PlanError as error:
        raise_findings(error.findings)
        raise  # not reached: an error has findings


def _find_types(plan: Plan, facts: KernelFacts, params: Mapping[str, ScalarParam]) -> TypedPlan:
    shapes = guess_shapes(plan, facts, params)
    for _ in range(_MOST_ROUNDS):
        alternatives = Alternatives(plan, facts, params, shapes)
        probes = alternatives.type_probes()
        parts = parts_of_drafts(draft for _, drafts in probes for draft in drafts)
        found = find_shapes(plan, parts)
        if found == shapes:
            return TypedPlan(probes=probes, skipped=alternatives.skipped, notes=found)
        shapes = found
    raise plan_error(
        "PP090",
        f"the types of the notes {', '.join(shapes)} depend on which attach points are taken, and "
        "these on the types",
        plan.notes[0].position,
        'bring what they keep to one type with cast(x, "s64")',
    )
