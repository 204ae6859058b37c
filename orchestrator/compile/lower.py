"""A plan and a kernel's facts to the backend-neutral program."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from orchestrator.compile.arithmetic import converted
from orchestrator.compile.draft import Draft, MetricDraft, make_draft
from orchestrator.compile.layout import (
    brought_to,
    lay_out_key,
    lay_out_record,
    presentation,
    record_size,
    unified,
)
from orchestrator.compile.nodes import Node
from orchestrator.compile.points import find_points
from orchestrator.compile.program import (
    Body,
    Emit,
    EntrySide,
    Hook,
    MetricSpec,
    MetricUse,
    ParamSlot,
    ProbeProgram,
    Program,
    ResolvedTarget,
    Skipped,
)
from orchestrator.compile.scope import Param, about_host, mismatch
from orchestrator.compile.tidy import tidy
from orchestrator.compile.types import BOOL, BYTES, DURATION, S64, U64, Int, Type
from orchestrator.kernel.cgroups import cgroup_id
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Finding, HostError, PlanError
from orchestrator.plan.model import (
    SCALAR_PARAM_TYPES,
    AttachItem,
    Metric,
    Plan,
    Probe,
    Target,
)
from orchestrator.plan.model import Param as PlanParam

_PARAM_TYPES: Mapping[str, Int | None] = {
    "int": S64,
    "duration": DURATION,
    "bytes": BYTES,
    "bool": None,
}


def compile_plan(plan: Plan, facts: KernelFacts) -> Program:
    """The program of `plan` on the kernel that `facts` describe; pure but for reading facts.

    Raises PlanError when the plan itself is wrong, HostError when only this kernel or host lacks
    something; both carry all findings.
    """
    return _Lowering(plan, facts).program()


class _Lowering:
    """Numbers hooks, records and metrics across the probes of one plan."""

    def __init__(self, plan: Plan, facts: KernelFacts) -> None:
        self.plan, self.facts = plan, facts
        self.findings: list[Finding] = []
        self.skipped: list[Skipped] = []
        self.hooks = self.emits = self.metrics = 0
        scalars = [p for p in plan.params.values() if p.type in SCALAR_PARAM_TYPES]
        self.slots = tuple(_slot(param, index) for index, param in enumerate(scalars))
        self.params = {
            p.name: Param(slot=i, type=_PARAM_TYPES[p.type]) for i, p in enumerate(scalars)
        }

    def program(self) -> Program:
        self._require_params()
        probes: list[ProbeProgram] = []
        for probe in self.plan.probes:
            if (made := self._guarded(len(probes), probe)) is not None:
                probes.append(made)
        self._raise_findings()
        if not probes:
            raise HostError([self._nothing_left()])
        emits = [probe.emit for probe in probes if probe.emit is not None]
        return Program(
            name=self.plan.metadata.name,
            sha256=self.plan.sha256,
            limits=self.plan.limits,
            target=resolve_target(self.plan.target),
            params=self.slots,
            probes=tuple(probes),
            skipped=tuple(self.skipped),
            record_size=record_size(emits),
            every_ns=self.plan.every_ns,
            kernel=self.facts.release,
            arch=self.facts.arch,
        )

    def _require_params(self) -> None:
        for param in self.plan.params.values():
            if param.value is None:
                self.findings.append(
                    Finding(
                        code="PP068",
                        message=f"the param {param.name!r} has no default and is not set",
                        position=param.position,
                        hint=f"--set {param.name}=VALUE",
                    )
                )
        self._raise_findings()

    def _guarded(self, index: int, probe: Probe) -> ProbeProgram | None:
        """The probe, or None with its findings noted, so that all probes' are told at once. One
        that is left out takes no numbers."""
        before = self.hooks, self.emits, self.metrics
        try:
            return self._probe(index, probe)
        except PlanError as error:
            self.hooks, self.emits, self.metrics = before
            if not (probe.optional and about_host(error)):
                self.findings += error.findings
            elif all(skipped.probe != probe.name for skipped in self.skipped):
                self._skip(probe, probe.items[0], error)
            return None

    def _nothing_left(self) -> Finding:
        told = "; ".join(f"{one.probe}: {one.reason}" for one in self.skipped)
        return Finding(
            code="PP080",
            message=f"every probe is optional, and none can be attached here ({told})",
            position=self.plan.probes[0].position,
            hint="give one of them an attach point that this kernel has",
        )

    def _raise_findings(self) -> None:
        if self.findings:
            error = PlanError(self.findings)
            raise HostError(error.findings) if about_host(error) else error

    def _skip(self, probe: Probe, item: AttachItem, error: PlanError) -> None:
        reason = "; ".join(finding.message for finding in error.findings)
        self.skipped.append(Skipped(probe=probe.name, item=item.text, reason=reason))

    # ---------------------------------------------------------------- items to drafts

    def _probe(self, index: int, probe: Probe) -> ProbeProgram:
        drafts = self._first(probe) if probe.mode == "first" else self._all(probe)
        self.hooks += len(drafts)
        if self.hooks > self.plan.limits.probes:
            raise mismatch(
                "PP094",
                f"{self.hooks} attach points; limits.probes allows {self.plan.limits.probes}",
                probe.position,
            )
        emit = self._emit(probe, drafts)
        specs = tuple(self._metric(probe, drafts, number) for number in range(len(probe.metrics)))
        return ProbeProgram(
            index=index,
            name=probe.name,
            sample=probe.sample,
            events=probe.events,
            rate=probe.rate,
            optional=probe.optional,
            emit=emit,
            metrics=specs,
            hooks=tuple(_hook(index, probe, draft, emit, specs) for draft in drafts),
        )

    def _first(self, probe: Probe) -> list[Draft]:
        """The drafts of the first item that this kernel offers, expressions included."""
        refused: list[Finding] = []
        for item in probe.items:
            try:
                return self._item(probe, item)
            except PlanError as error:
                if not about_host(error):
                    raise
                refused += error.findings
                self._skip(probe, item, error)
        raise PlanError(refused)

    def _all(self, probe: Probe) -> list[Draft]:
        drafts: list[Draft] = []
        for item in probe.items:
            try:
                drafts += self._item(probe, item, len(drafts))
            except PlanError as error:
                if not ((item.optional or probe.optional) and about_host(error)):
                    raise
                self._skip(probe, item, error)
        if not drafts:
            raise mismatch(
                "PP080", f"no attach point of {probe.name!r} is offered here", probe.position
            )
        return drafts

    def _item(self, probe: Probe, item: AttachItem, before: int = 0) -> list[Draft]:
        points = find_points(_completed(item, probe), self.facts, self.plan.limits.probes)
        first = self.hooks + before
        return [
            make_draft(self.plan, probe, item, point, self.facts, first + number, self.params)
            for number, point in enumerate(points)
        ]

    # ---------------------------------------------------------------- common layouts

    def _emit(self, probe: Probe, drafts: Sequence[Draft]) -> Emit | None:
        if probe.emit is None:
            return None
        fields = [
            (
                name,
                unified([d.emit[name].type for d in drafts], name, expr.position),
                presentation([d.emit[name] for d in drafts]),
            )
            for name, expr in probe.emit.items()
        ]
        has_task = all(draft.task != "none" for draft in drafts)
        self.emits += 1
        return lay_out_record(self.emits - 1, probe.name, fields, has_task, probe.position)

    def _metric(self, probe: Probe, drafts: Sequence[Draft], number: int) -> MetricSpec:
        metric, uses = probe.metrics[number], [draft.metrics[number] for draft in drafts]
        names = [name for name in metric.by if name != "none"]
        parts = [
            (
                name,
                unified([use.key[i].type for use in uses], name, metric.position),
                presentation([use.key[i] for use in uses]),
            )
            for i, name in enumerate(names)
        ]
        key, size = lay_out_key(parts, metric.position)
        kind = _value_type(metric, uses)
        self.metrics += 1
        return MetricSpec(
            index=self.metrics - 1,
            probe=probe.name,
            name=metric.name,
            kind=metric.kind,
            key=key,
            key_size=size,
            keys=metric.keys,
            buckets=metric.buckets,
            signed=kind.signed,
            unit=_unit(kind, metric),
            display=metric.unit,
            top=metric.top,
        )


def _completed(item: AttachItem, probe: Probe) -> AttachItem:
    """The item with what it leaves to its probe."""
    return replace(item, args=item.args or probe.args, returns=item.returns or probe.returns)


def _unit(kind: Int, metric: Metric) -> str:
    """What the values count: as their type says, or sizes where only the plan's `unit` does, since
    a size that the kernel gives is a plain number."""
    if kind.unit == "" and metric.unit.endswith("B"):
        return "bytes"
    return {"duration": "ns", "bytes": "bytes", "": ""}[kind.unit]


def _value_type(metric: Metric, uses: Sequence[MetricDraft]) -> Int:
    types: list[Type] = [use.value.type for use in uses if use.value is not None]
    if not types:
        return U64
    ints = [kind for kind in types if isinstance(kind, Int)]
    unit = ints[0].unit if len({kind.unit for kind in ints}) == 1 else ""
    return Int(64, any(kind.signed for kind in ints), unit)


def _hook(
    probe_index: int, probe: Probe, draft: Draft, emit: Emit | None, specs: Sequence[MetricSpec]
) -> Hook:
    point = draft.point
    return Hook(
        id=draft.id,
        probe=probe_index,
        kind=point.kind,
        label=point.label,
        body=tidy(_body(draft, emit, specs)),
        position=draft.item.position,
        optional=draft.item.optional or probe.optional,
        symbol=point.symbol,
        offset=point.offset,
        btf_id=point.btf_id,
        arguments=point.register_count,
        tracepoint=point.tracepoint,
        exit_tracepoint=point.exit_tracepoint,
        event=point.event,
        path=point.path,
        file_offset=point.file_offset,
        semaphore=point.semaphore,
        frequency=point.frequency,
    )


def _body(draft: Draft, emit: Emit | None, specs: Sequence[MetricSpec]) -> Body:
    entry = EntrySide(where=draft.pushed, captures=draft.captures) if draft.point.paired else None
    return Body(
        lets=draft.lets,
        where=draft.where,
        emit=_emitted(draft, emit),
        metrics=tuple(_use(s, d) for s, d in zip(specs, draft.metrics, strict=True)),
        entry=entry,
        task=draft.task,
    )


def _emitted(draft: Draft, emit: Emit | None) -> tuple[Node, ...]:
    if emit is None:
        return ()
    return tuple(_in_form(draft.emit[field.name], field.form) for field in emit.fields)


def _use(spec: MetricSpec, draft: MetricDraft) -> MetricUse:
    key = tuple(_in_form(node, part.form) for node, part in zip(draft.key, spec.key, strict=True))
    value = draft.value
    if value is not None:
        value = converted(brought_to(value, U64), S64 if spec.signed else U64)
    return MetricUse(metric=spec.index, key=key, value=value, where=draft.where)


def _in_form(node: Node, form: str) -> Node:
    if form == "bool":
        return brought_to(node, BOOL)
    if form[0] in "us" and form[1:].isdigit():
        return brought_to(node, Int(int(form[1:]), form[0] == "s"))
    return brought_to(node, node.type)


def _slot(param: PlanParam, index: int) -> ParamSlot:
    value = param.value if isinstance(param.value, int) else 0
    return ParamSlot(
        name=param.name, slot=index, type=_PARAM_TYPES[param.type] or BOOL, value=int(value)
    )


def resolve_target(target: Target) -> ResolvedTarget:
    """The target with cgroup paths turned into ids, None where this host has no such cgroup."""
    return ResolvedTarget(
        pid=target.pid,
        tid=target.tid,
        uid=target.uid,
        comm=target.comm,
        cgroup=tuple((path, cgroup_id(path)) for path in target.cgroup),
        children=target.children,
        exclude_self=target.exclude_self,
    )
