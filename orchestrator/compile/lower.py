"""A plan and a kernel's facts to the backend-neutral program."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.compile.draft import Draft, make_draft
from orchestrator.compile.layout import lay_out_record, presentation, record_size, unified
from orchestrator.compile.metrics import in_form, metric_spec, metric_use
from orchestrator.compile.nodes import Node
from orchestrator.compile.points import find_points
from orchestrator.compile.program import (
    Body,
    Emit,
    EntrySide,
    Hook,
    MetricSpec,
    ParamSlot,
    ProbeProgram,
    Program,
    ResolvedTarget,
    Skipped,
    SpanUse,
)
from orchestrator.compile.scope import Param, about_host, mismatch
from orchestrator.compile.span_draft import SpanDraft, draft_outstanding, draft_span
from orchestrator.compile.span_lower import ROLE_ORDER, Numbers, SpanMade, span_program
from orchestrator.compile.tags import choose_tags, with_tag
from orchestrator.compile.tidy import tidy
from orchestrator.compile.types import BOOL, BYTES, DURATION, S64, Int
from orchestrator.kernel.cgroups import cgroup_id
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Finding, HostError, PlanError
from orchestrator.plan.model import (
    SCALAR_PARAM_TYPES,
    AttachItem,
    Outstanding,
    Plan,
    Probe,
    Span,
    Target,
)
from orchestrator.plan.model import Param as PlanParam

_PARAM_TYPES: Mapping[str, Int | None] = {
    "int": S64,
    "duration": DURATION,
    "bytes": BYTES,
    "bool": None,
}


Drafted = Sequence[tuple[Probe, Sequence[Draft]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outline:
    """A probe with its hooks typed and its record and metrics laid out."""

    index: int
    probe: Probe
    drafts: Sequence[Draft]
    emit: Emit | None
    metrics: tuple[MetricSpec, ...]


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
        self.hooks = self.metrics = 0
        self.emits: list[Emit] = []
        scalars = [p for p in plan.params.values() if p.type in SCALAR_PARAM_TYPES]
        self.slots = tuple(_slot(param, index) for index, param in enumerate(scalars))
        self.params = {
            p.name: Param(slot=i, type=_PARAM_TYPES[p.type]) for i, p in enumerate(scalars)
        }

    def program(self) -> Program:
        self._require_params()
        drafts = self._drafts()
        self._raise_findings()
        if not drafts:
            raise HostError([self._nothing_left()])
        self._check_roles(drafts)
        spans = self._span_drafts(drafts)
        self._raise_findings()
        probes = [self._outline(number, *one) for number, one in enumerate(drafts)]
        made = self._spans(spans)
        uses = _uses_by_hook(made)
        return Program(
            name=self.plan.metadata.name,
            sha256=self.plan.sha256,
            limits=self.plan.limits,
            target=resolve_target(self.plan.target),
            params=self.slots,
            probes=tuple(self._finished(one, uses) for one in probes),
            spans=tuple(one.span for one in made),
            skipped=tuple(self.skipped),
            record_size=record_size(self.emits),
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

    def _drafts(self) -> list[tuple[Probe, list[Draft]]]:
        """Each probe that can be here with its hooks, all probes' findings noted at once."""
        tags = choose_tags(self.plan, self._resolves)
        found: list[tuple[Probe, list[Draft]]] = []
        for probe in self.plan.probes:
            tag = tags.get(probe.name)
            chosen = probe if tag is None else self._with_tag(probe, tag)
            if (made := self._guarded(chosen)) is not None:
                found.append((probe, made))
        return found

    def _resolves(self, probe: Probe) -> bool:
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
                reason = f"its span attaches by the items that say `as: {tag}`"
                self.skipped.append(Skipped(probe=probe.name, item=item.text, reason=reason))
        return with_tag(probe, tag)

    def _guarded(self, probe: Probe) -> list[Draft] | None:
        """The probe's hooks, or None with its findings noted. One that is left out takes no
        numbers."""
        before = self.hooks
        try:
            return self._numbered(probe)
        except PlanError as error:
            self.hooks = before
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

    def _numbered(self, probe: Probe) -> list[Draft]:
        drafts = self._hooks_of(probe)
        self.hooks += len(drafts)
        if self.hooks > self.plan.limits.probes:
            raise mismatch(
                "PP094",
                f"{self.hooks} attach points; limits.probes allows {self.plan.limits.probes}",
                probe.position,
            )
        return drafts

    def _hooks_of(self, probe: Probe) -> list[Draft]:
        return self._first(probe) if probe.mode == "first" else self._all(probe)

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

    # ---------------------------------------------------------------- spans

    def _check_roles(self, drafts: Drafted) -> None:
        """A target is tested once in the life of a span, and so not where it goes on: a probe there
        cannot keep things of its own that are the target's alone."""
        if self.plan.target == Target(position=self.plan.target.position):
            return
        later = _later_probes(self.plan)
        for probe, hooks in drafts:
            begins = probe.name in _starting(self.plan)
            own = probe.emit is not None or bool(probe.metrics) or begins
            if probe.name in later and own and any(hook.task != "none" for hook in hooks):
                self.findings.append(
                    Finding(
                        code="PP063",
                        message=f"{probe.name!r} goes on with a span, where `target` was tested "
                        "already, and also begins something of its own",
                        position=probe.position,
                        hint="make a second probe at the same attach point",
                    )
                )

    def _span_drafts(self, drafts: Drafted) -> list[tuple[Span | Outstanding, SpanDraft]]:
        """All spans, typed; their findings are noted."""
        by_name = {probe.name: hooks for probe, hooks in drafts}
        found: list[tuple[Span | Outstanding, SpanDraft]] = []
        spans: list[Span | Outstanding] = [*self.plan.spans, *self.plan.outstanding]
        for span in spans:
            try:
                self._require_probes(span, by_name)
                make = draft_span if isinstance(span, Span) else draft_outstanding
                found.append((span, make(span, by_name)))  # type: ignore[arg-type]  # its own kind
            except PlanError as error:
                self.findings += error.findings
        return found

    def _require_probes(self, span: Span | Outstanding, drafts: Mapping[str, object]) -> None:
        roles = (span.start, span.end) if isinstance(span, Span) else (span.open, span.close)
        for names in roles:
            if not any(name in drafts for name in names):
                raise mismatch(
                    "PP080",
                    f"{span.name!r} needs {' or '.join(names)}, which cannot be attached here",
                    span.position,
                )

    def _spans(self, drafts: Sequence[tuple[Span | Outstanding, SpanDraft]]) -> list[SpanMade]:
        made: list[SpanMade] = []
        for span, draft in drafts:
            numbers = Numbers(span=len(made), emit=len(self.emits), metric=self.metrics)
            one = span_program(span, draft, numbers)
            self.emits += [one.span.emit] if one.span.emit is not None else []
            self.metrics += len(one.span.metrics)
            made.append(one)
        return made

    # ---------------------------------------------------------------- common layouts

    def _outline(self, index: int, probe: Probe, drafts: Sequence[Draft]) -> _Outline:
        return _Outline(
            index=index,
            probe=probe,
            drafts=drafts,
            emit=self._emit(probe, drafts),
            metrics=self._metrics(probe, drafts),
        )

    def _finished(self, one: _Outline, uses: Mapping[int, tuple[SpanUse, ...]]) -> ProbeProgram:
        probe = one.probe
        later = probe.name in _later_probes(self.plan) - _starting(self.plan)
        return ProbeProgram(
            index=one.index,
            name=probe.name,
            sample=probe.sample,
            events=probe.events,
            rate=probe.rate,
            optional=probe.optional,
            emit=one.emit,
            metrics=one.metrics,
            hooks=tuple(
                _hook(one, draft, uses.get(draft.id, ()), tests_target=not later)
                for draft in one.drafts
            ),
        )

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
        emit = lay_out_record(len(self.emits), probe.name, fields, has_task, probe.position)
        self.emits.append(emit)
        return emit

    def _metrics(self, probe: Probe, drafts: Sequence[Draft]) -> tuple[MetricSpec, ...]:
        first = self.metrics
        self.metrics += len(probe.metrics)
        return tuple(
            metric_spec(first + i, probe.name, metric, [draft.metrics[i] for draft in drafts])
            for i, metric in enumerate(probe.metrics)
        )


def _uses_by_hook(made: Sequence[SpanMade]) -> dict[int, tuple[SpanUse, ...]]:
    """What each hook does in all spans, ends first."""
    found: dict[int, list[SpanUse]] = {}
    for one in made:
        for hook, uses in one.uses.items():
            found.setdefault(hook, []).extend(uses)
    return {
        hook: tuple(sorted(uses, key=lambda use: ROLE_ORDER[use.role]))
        for hook, uses in found.items()
    }


def _later_probes(plan: Plan) -> frozenset[str]:
    """Probes at which a span goes on or ends."""
    names = [name for span in plan.spans for name in (*span.via, *span.end, *span.cancel)]
    return frozenset([*names, *(name for one in plan.outstanding for name in one.close)])


def _starting(plan: Plan) -> frozenset[str]:
    """Probes at which a span begins."""
    names = [name for span in plan.spans for name in span.start]
    return frozenset([*names, *(name for one in plan.outstanding for name in one.open)])


def _completed(item: AttachItem, probe: Probe) -> AttachItem:
    """The item with what it leaves to its probe."""
    return replace(item, args=item.args or probe.args, returns=item.returns or probe.returns)


def _hook(one: _Outline, draft: Draft, spans: tuple[SpanUse, ...], *, tests_target: bool) -> Hook:
    point = draft.point
    return Hook(
        id=draft.id,
        probe=one.index,
        kind=point.kind,
        label=point.label,
        body=tidy(replace(_body(one, draft), spans=spans, tests_target=tests_target)),
        position=draft.item.position,
        optional=draft.item.optional or one.probe.optional,
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


def _body(one: _Outline, draft: Draft) -> Body:
    entry = EntrySide(where=draft.pushed, captures=draft.captures) if draft.point.paired else None
    return Body(
        lets=draft.lets,
        where=draft.where,
        emit=_emitted(draft, one.emit),
        metrics=tuple(metric_use(s, d) for s, d in zip(one.metrics, draft.metrics, strict=True)),
        entry=entry,
        task=draft.task,
    )


def _emitted(draft: Draft, emit: Emit | None) -> tuple[Node, ...]:
    if emit is None:
        return ()
    return tuple(in_form(draft.emit[field.name], field.form) for field in emit.fields)


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
