"""What a plan comes to on recorded kernels: a row for each kernel, setting and variant.

Needs neither root nor a compiler, and writes nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from pathlib import PurePath
from typing import Any

from orchestrator.backends import compiled
from orchestrator.backends.protocol import Artifact
from orchestrator.bundle.model import MatrixRow, Settings, Trampolines
from orchestrator.bundle.variants import Variant, list_variants
from orchestrator.compile.program import Program
from orchestrator.kernel.abi.executables import ExecutableId
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Finding, HostError, PlanError
from orchestrator.plan.model import Plan
from orchestrator.run.choice import Resolved
from orchestrator.run.prepare import resolve, select_backend
from orchestrator.values import dataclass

__all__ = ["PlannedRow", "RecordedKernel", "name_kernel", "plan_rows"]

_SUFFIXES = (".xz", ".facts")
_SOME_PROGRAM = ExecutableId(device=1, inode=1)
_SOME_CGROUP = 1  # an id, whichever: it is an open number, and every host fills in its own


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedKernel:
    """A recording and its name for people."""

    name: str
    facts: KernelFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRow:
    """A row, and the artifact whose program has the row's key: None where there is no key.
    `rejected`: by attach point, why no mechanism that is preferred attaches it."""

    row: MatrixRow
    artifact: Artifact[Any] | None = None
    rejected: Mapping[str, str] = field(default_factory=dict)


def name_kernel(file: str) -> str:
    """A recording's name for people: its file's, without `.facts.xz`."""
    name = PurePath(file).name
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix) or name
    return name


def plan_rows(
    plan: Plan, settings: Settings, kernels: Sequence[RecordedKernel]
) -> Iterator[PlannedRow]:
    """The rows of `plan`, which has the params and the target of `settings`, in the order of the
    kernels, each as it was recorded first."""
    for kernel in kernels:
        programs: dict[Trampolines, _Resolution] = {}
        for variant in list_variants(kernel.facts):
            # What a program says does not depend on fetching atomics: only its C does.
            if variant.trampolines not in programs:
                programs[variant.trampolines] = _resolve(plan, settings, variant.facts)
            row = _start_row(settings, kernel, variant)
            yield _finish_row(row, plan, variant.facts, programs[variant.trampolines])


#: A resolved plan, or why there is none.
_Resolution = Resolved | tuple[Finding, ...]


def _resolve(plan: Plan, settings: Settings, facts: KernelFacts) -> _Resolution:
    try:
        resolved = resolve(plan, facts, follow_children=settings.command)
    except (PlanError, HostError) as error:
        return error.findings
    return _with_cgroups(resolved)


def _start_row(settings: Settings, kernel: RecordedKernel, variant: Variant) -> MatrixRow:
    facts = kernel.facts
    return MatrixRow(
        kernel=kernel.name,
        release=facts.release,
        arch=facts.arch,
        build_id=facts.build_id,
        trimmed=facts.trimmed,
        settings=settings,
        fetching=variant.fetching,
        trampolines=variant.trampolines,
        backend=None,
        key=None,
        mechanisms={},
        alternatives={},
        skipped={},
        memory=None,
        reasons=(),
    )


def _finish_row(row: MatrixRow, plan: Plan, facts: KernelFacts, outcome: _Resolution) -> PlannedRow:
    if not isinstance(outcome, Resolved):
        return PlannedRow(row=replace(row, reasons=_describe_findings(outcome)))
    row = replace(
        row,
        alternatives=dict(_list_alternatives(plan, outcome.program)),
        skipped={f"{one.probe}: {one.item}": one.reason for one in outcome.program.skipped},
    )
    try:
        choice = select_backend(replace(outcome, facts=facts)).choice
    except HostError as error:
        return PlannedRow(row=replace(row, reasons=_describe_findings(error.findings)))
    artifact = choice.artifact
    row = replace(
        row,
        backend=artifact.backend,
        mechanisms=_list_mechanisms(artifact),
        memory=sum(artifact.memory.values()),
        reasons=_describe_findings(f for refused in choice.refused.values() for f in refused),
    )
    rejected = _list_rejected(artifact)
    if artifact.backend != compiled.NAME:
        return PlannedRow(row=row, rejected=rejected)
    return PlannedRow(
        row=replace(row, key=compiled.make_program_key(artifact)),
        artifact=artifact,
        rejected=rejected,
    )


def _with_cgroups(resolved: Resolved) -> Resolved:
    """The target's cgroups and programs need not exist on the machine that builds."""
    target = resolved.program.target
    known = replace(
        target,
        cgroup=_some_cgroups(target.cgroup),
        exe=_some_programs(target.exe),
        left_out=replace(
            target.left_out,
            cgroup=_some_cgroups(target.left_out.cgroup),
            exe=_some_programs(target.left_out.exe),
        ),
    )
    return replace(resolved, program=replace(resolved.program, target=known))


def _some_cgroups(cgroups: Iterable[tuple[str, object]]) -> tuple[tuple[str, int], ...]:
    return tuple((path, _SOME_CGROUP) for path, _ in cgroups)


def _some_programs(programs: Iterable[tuple[str, object]]) -> tuple[tuple[str, ExecutableId], ...]:
    return tuple((path, _SOME_PROGRAM) for path, _ in programs)


def _list_alternatives(plan: Plan, program: Program) -> Iterator[tuple[str, str]]:
    """By probe that has alternatives, the one taken."""
    places = {hook.position for hook in program.hooks}
    for probe in plan.probes:
        taken = [item.text for item in probe.items if item.position in places]
        if probe.mode == "first" and taken:
            yield probe.name, ", ".join(taken)


def _list_mechanisms(artifact: Artifact[Any]) -> dict[str, str]:
    """By attach point; two probes at one may be attached in different ways."""
    mechanisms: dict[str, str] = {}
    for hook, chosen in zip(artifact.program.hooks, artifact.hooks, strict=True):
        known = mechanisms.setdefault(hook.label, chosen.mechanism)
        if chosen.mechanism not in known.split(", "):
            mechanisms[hook.label] = f"{known}, {chosen.mechanism}"
    return mechanisms


def _list_rejected(artifact: Artifact[Any]) -> dict[str, str]:
    """By attach point, the mechanisms that come before the one chosen, and why they are not it."""
    rejected: dict[str, str] = {}
    for hook, chosen in zip(artifact.program.hooks, artifact.hooks, strict=True):
        unwanted = f"{chosen.mechanism} is preferred"
        why = [f"not {name}: {why}" for name, why in chosen.rejected.items() if why != unwanted]
        if why:
            rejected.setdefault(hook.label, "; ".join(why))
    return rejected


def _describe_findings(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Findings as text, with the plan's file as a bundle names it."""
    return tuple(
        str(replace(one, position=replace(one.position, file=PurePath(one.position.file).name)))
        for one in findings
    )
