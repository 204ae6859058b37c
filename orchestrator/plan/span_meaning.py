"""Checks of spans and outstanding resources: do they fit their probes?"""

from collections.abc import Iterator, Mapping

from orchestrator.plan.document.document_paths import DocumentPath
from orchestrator.plan.document.finding_collector import FindingCollector
from orchestrator.plan.expression import names
from orchestrator.plan.expression.parse import parse
from orchestrator.plan.expression_meaning import ExpressionChecker
from orchestrator.plan.findings import PlanError
from orchestrator.plan.model import Outstanding, Plan, Probe, Span
from orchestrator.plan.naming.keys import key_expression
from orchestrator.plan.naming.probe_names import check_key, find_probes
from orchestrator.plan.nearest import suggest_name
from orchestrator.plan.scopes import (
    Scope,
    names_used_by,
    probe_scope,
    span_scope,
)

_SPAN_ROLES = ("start", "end", "via", "cancel")
_OUTSTANDING_ROLES = ("open", "close")


def check_spans(plan: Plan, checker: ExpressionChecker, collector: FindingCollector) -> None:
    """Report to `collector` what is wrong with the plan's spans and outstanding resources."""
    _check_names(plan, collector)
    for span in plan.spans:
        _SpanChecker(plan, span, checker, collector).check()
    for resource in plan.outstanding:
        _check_outstanding(plan, resource, checker, collector)


def _check_names(plan: Plan, collector: FindingCollector) -> None:
    """Check that names are unique: records and metrics are identified by them."""
    taken = {probe.name: "probe" for probe in plan.probes}
    for head, things in (("spans", plan.spans), ("outstanding", plan.outstanding)):
        for thing in things:
            if thing.name in taken:
                place = collector.document.key_position((head, thing.name))
                what = f"{thing.name!r} is also the name of a {taken[thing.name]}"
                collector.add(
                    "PP062",
                    what,
                    place,
                    "records and metrics have this name: change one",
                )
            taken[thing.name] = "span"


def _find_members(
    plan: Plan,
    path: DocumentPath,
    roles: Mapping[str, tuple[str, ...]],
    collector: FindingCollector,
) -> Iterator[tuple[str, Probe, DocumentPath]]:
    """(role, probe, path) of all probes that exist; the others are reported."""
    for role, named in roles.items():
        for probe, at in find_probes(plan, (*path, role), named, collector):
            yield role, probe, at


class _SpanChecker:
    """The checks of one span."""

    def __init__(
        self, plan: Plan, span: Span, checker: ExpressionChecker, collector: FindingCollector
    ) -> None:
        self.plan, self.span, self.checker, self.collector = plan, span, checker, collector
        self.path: DocumentPath = ("spans", span.name)

    def check(self) -> None:
        span = self.span
        roles = {role: getattr(span, role) for role in _SPAN_ROLES}
        members = list(_find_members(self.plan, self.path, roles, self.collector))
        members += self._check_sums()
        self._check_roles(members)
        probes = list({probe.name: probe for _, probe, _ in members}.values())
        check_key(self.plan, self.path, span.key, probes, self.collector)
        self._check_use()
        scope = span_scope(self.plan, span)
        for name, expr in span.let.items():
            if name in names_used_by(name, scope.definitions):
                place = self.collector.document.key_position((*self.path, "let", name))
                hint = "a definition can use others, but not itself"
                self.collector.add(
                    "PP025", f"the definition of {name!r} refers to itself", place, hint
                )
            else:
                self.checker.check(expr, scope)
        for maybe in (span.where, *(span.emit or {}).values()):
            self.checker.check(maybe, scope)
        for metric in span.metrics:
            self.checker.check(metric.value, scope)
            self.checker.check(metric.where, scope)
            for name in metric.by:
                if name in metric.computed:
                    self.checker.check(metric.computed[name], scope)
                else:
                    self._check_by(metric.name, name, scope)

    def _check_sums(self) -> Iterator[tuple[str, Probe, DocumentPath]]:
        """Check the values of `add` in their probes; yields (role, probe, path) of these."""
        known = {probe.name: probe for probe in self.plan.probes}
        for one in self.span.add:
            roles = {"from": one.of}
            path: DocumentPath = (*self.path, "add", one.name)
            for _, probe, at in _find_members(self.plan, path, roles, self.collector):
                self.checker.check(one.value, probe_scope(self.plan, known[probe.name]))
                yield "add", probe, at

    def _check_roles(self, members: list[tuple[str, Probe, DocumentPath]]) -> None:
        seen: dict[str, str] = {}
        for role, probe, at in members:
            if probe.name in seen and {role, seen[probe.name]} != {"add"}:
                what = f"{probe.name!r} is both `{seen[probe.name]}` and `{role}` of this span"
                hint = "make a second probe at the same attach point"
                self.collector.add("PP063", what, self.collector.document.value_position(at), hint)
            seen.setdefault(probe.name, role)

    def _check_use(self) -> None:
        if (
            self.span.emit is None
            and not self.span.metrics
            and not self.collector.has_refused(self.path)
        ):
            place = self.collector.document.key_position(self.path)
            hint = "add `emit: {took: elapsed}` for records, or `metrics:`"
            self.collector.add("PP053", f"the span {self.span.name!r} does nothing", place, hint)

    def _check_by(self, metric: str, name: str, scope: Scope) -> None:
        place = self.collector.document.value_position((*self.path, "metrics", metric, "by"))
        head = name.split(".", maxsplit=1)[0]
        if head not in (*scope.definitions, *names.SPAN_PROBES, names.SPAN_SUMS):
            known = [*scope.definitions, "start.comm"]
            hint = suggest_name(name, known, "e.g. start.comm, or name it under the span's `let`")
            self.collector.add("PP055", f"cannot count by {name!r}", place, hint)
            return
        try:
            self.checker.check(parse(name, place), scope)
        except PlanError as error:
            self.collector.extend(error.findings)


def _check_outstanding(
    plan: Plan, resource: Outstanding, checker: ExpressionChecker, collector: FindingCollector
) -> None:
    path: DocumentPath = ("outstanding", resource.name)
    roles = {role: getattr(resource, role) for role in _OUTSTANDING_ROLES}
    members = list(_find_members(plan, path, roles, collector))
    both = {probe.name for role, probe, _ in members if role == "open"}
    for role, probe, at in members:
        if role == "close" and probe.name in both:
            what = f"{probe.name!r} both opens and closes"
            hint = "make a second probe at the same attach point"
            collector.add("PP063", what, collector.document.value_position(at), hint)
    probes = list({probe.name: probe for _, probe, _ in members}.values())
    check_key(plan, path, resource.key, probes, collector)
    for probe in probes:
        if probe.name in both:
            scope = probe_scope(plan, probe)
            checker.check(resource.value, scope)
            for name in resource.by:
                place = collector.document.value_position((*path, "by"))
                try:
                    checker.check(key_expression(resource, name, place), scope)
                except PlanError as error:
                    collector.extend(error.findings)
