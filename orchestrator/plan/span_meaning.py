"""What a plan's spans and outstanding resources say of its probes: do the names agree?"""

from collections.abc import Iterator, Mapping

from orchestrator.plan.document.document_paths import Path_
from orchestrator.plan.document.finding_collector import Sink
from orchestrator.plan.expression import names
from orchestrator.plan.expression.parse import parse
from orchestrator.plan.findings import PlanError
from orchestrator.plan.meaning import Meaning
from orchestrator.plan.model import Outstanding, Plan, Probe, Span
from orchestrator.plan.nearest import suggestion
from orchestrator.plan.scopes import Scope, leans_on, probe_scope, span_scope

_SPAN_ROLES = ("start", "end", "via", "cancel")
_OUTSTANDING_ROLES = ("open", "close")


def check_spans(plan: Plan, meaning: Meaning, sink: Sink) -> None:
    """Report to `sink` what is wrong with the plan's spans and outstanding resources."""
    _check_names(plan, sink)
    for span in plan.spans:
        _Span(plan, span, meaning, sink).check()
    for one in plan.outstanding:
        _check_outstanding(plan, one, meaning, sink)


def _check_names(plan: Plan, sink: Sink) -> None:
    """Records and metrics are told apart by the name of what they belong to."""
    taken = {probe.name: "probe" for probe in plan.probes}
    for head, things in (("spans", plan.spans), ("outstanding", plan.outstanding)):
        for thing in things:
            if thing.name in taken:
                place = sink.document.key((head, thing.name))
                what = f"{thing.name!r} is also the name of a {taken[thing.name]}"
                sink.add("PP062", what, place, "records and metrics go by this name: change one")
            taken[thing.name] = "span"


def _check_probes(
    plan: Plan, path: Path_, roles: Mapping[str, tuple[str, ...]], sink: Sink
) -> Iterator[tuple[str, Probe, Path_]]:
    """(role, probe, its place) of all that exist; the others are reported."""
    known = {probe.name: probe for probe in plan.probes}
    for role, named in roles.items():
        for index, name in enumerate(named):
            at: Path_ = (*path, role)
            at = (*at, index) if (*at, index) in sink.document.places else at
            if name in known:
                yield role, known[name], at
            elif not sink.damaged(("probes", name)):
                hint = suggestion(name, known, f"probes: {', '.join(known)}")
                sink.add("PP062", f"there is no probe {name!r}", sink.document.value(at), hint)


def _check_key(
    plan: Plan, path: Path_, key: tuple[str, ...], probes: list[Probe], meaning: Meaning
) -> None:
    """Every probe of a span must be able to say the key."""
    for index, name in enumerate(key):
        place = meaning.sink.document.value((*path, "key", index))
        for probe in probes:
            if not _says(plan, probe, name):
                hint = f"give it one: `let: {{{name.split('.')[0]}: …}}`"
                message = f"the probe {probe.name!r} has no {name!r}"
                meaning.sink.add("PP062", message, place, hint)
                break


def _says(plan: Plan, probe: Probe, name: str) -> bool:
    scope = probe_scope(plan, probe)
    head = name.split(".", maxsplit=1)[0]
    if head in scope.definitions or head in scope.partial:
        return True
    if head in names.OF_TASK:
        return scope.task
    return head in names.BUILTINS or names.ARGUMENT.fullmatch(head) is not None


class _Span:
    """The checks of one span."""

    def __init__(self, plan: Plan, span: Span, meaning: Meaning, sink: Sink) -> None:
        self.plan, self.span, self.meaning, self.sink = plan, span, meaning, sink
        self.path: Path_ = ("spans", span.name)

    def check(self) -> None:
        span = self.span
        roles = {role: getattr(span, role) for role in _SPAN_ROLES}
        found = list(_check_probes(self.plan, self.path, roles, self.sink))
        self._check_roles(found)
        probes = list({probe.name: probe for _, probe, _ in found}.values())
        _check_key(self.plan, self.path, span.key, probes, self.meaning)
        self._check_use()
        scope = span_scope(self.plan, span)
        for name, expr in span.let.items():
            if name in leans_on(name, scope.definitions):
                place = self.sink.document.key((*self.path, "let", name))
                hint = "a definition can use others, but not itself"
                self.sink.add("PP025", f"the definition of {name!r} leans on itself", place, hint)
            else:
                self.meaning.check(expr, scope)
        for said in (span.where, *(span.emit or {}).values()):
            self.meaning.check(said, scope)
        for metric in span.metrics:
            self.meaning.check(metric.value, scope)
            self.meaning.check(metric.where, scope)
            for name in metric.by:
                self._check_by(metric.name, name, scope)

    def _check_roles(self, found: list[tuple[str, Probe, Path_]]) -> None:
        seen: dict[str, str] = {}
        for role, probe, at in found:
            if probe.name in seen:
                what = f"{probe.name!r} is both `{seen[probe.name]}` and `{role}` of this span"
                hint = "make a second probe at the same attach point"
                self.sink.add("PP063", what, self.sink.document.value(at), hint)
            seen.setdefault(probe.name, role)

    def _check_use(self) -> None:
        if self.span.emit is None and not self.span.metrics and not self.sink.damaged(self.path):
            place = self.sink.document.key(self.path)
            hint = "add `emit: {took: elapsed}` for records, or `metrics:`"
            self.sink.add("PP053", f"the span {self.span.name!r} does nothing", place, hint)

    def _check_by(self, metric: str, name: str, scope: Scope) -> None:
        place = self.sink.document.value((*self.path, "metrics", metric, "by"))
        head = name.split(".", maxsplit=1)[0]
        if head not in (*scope.definitions, *names.SPAN_PROBES):
            known = [*scope.definitions, "start.comm"]
            hint = suggestion(name, known, "e.g. start.comm, or name it under the span's `let`")
            self.sink.add("PP055", f"cannot count by {name!r}", place, hint)
            return
        try:
            self.meaning.check(parse(name, place), scope)
        except PlanError as error:
            self.sink.extend(error.findings)


def _check_outstanding(plan: Plan, one: Outstanding, meaning: Meaning, sink: Sink) -> None:
    path: Path_ = ("outstanding", one.name)
    roles = {role: getattr(one, role) for role in _OUTSTANDING_ROLES}
    found = list(_check_probes(plan, path, roles, sink))
    both = {probe.name for role, probe, _ in found if role == "open"}
    for role, probe, at in found:
        if role == "close" and probe.name in both:
            what = f"{probe.name!r} both opens and closes"
            hint = "make a second probe at the same attach point"
            sink.add("PP063", what, sink.document.value(at), hint)
    probes = list({probe.name: probe for _, probe, _ in found}.values())
    _check_key(plan, path, one.key, probes, meaning)
    for probe in probes:
        if probe.name in both:
            scope = probe_scope(plan, probe)
            meaning.check(one.value, scope)
            for name in one.by:
                place = sink.document.value((*path, "by"))
                try:
                    meaning.check(parse(name, place), scope)
                except PlanError as error:
                    sink.extend(error.findings)
