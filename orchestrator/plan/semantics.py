"""Checks that JSON Schema cannot express and that need no kernel."""

import keyword
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from orchestrator.plan.document.document_paths import DocumentPath
from orchestrator.plan.document.finding_collector import FindingCollector
from orchestrator.plan.expression import names
from orchestrator.plan.expression.parse import parse
from orchestrator.plan.expression.syntax import Expr
from orchestrator.plan.expression_meaning import ExpressionChecker
from orchestrator.plan.figure_meaning import check_figures
from orchestrator.plan.findings import PlanError
from orchestrator.plan.model import Metric, Once, Plan, Probe
from orchestrator.plan.nearest import suggest_name
from orchestrator.plan.notes.meaning import check_notes
from orchestrator.plan.params import report_stray_interpolation
from orchestrator.plan.scopes import Scope, item_scope, names_used_by, plan_scope, probe_scope
from orchestrator.plan.span_meaning import check_spans


def check_meaning(plan: Plan, data: Mapping[str, Any], collector: FindingCollector) -> None:
    """Report to `sink` what is wrong with a plan whose document fits the schema."""
    checker = ExpressionChecker(plan.params, collector, plan.labels, plan.notes)
    _check_prose(data, collector)
    _check_sampling(data, collector)
    _check_definitions(("let",), plan.let, plan_scope(plan), checker, collector)
    for probe in plan.probes:
        _check_probe(plan, probe, data, checker, collector)
    check_spans(plan, checker, collector)
    check_notes(plan, checker, collector)
    check_figures(plan, collector)


def _check_prose(data: Mapping[str, Any], collector: FindingCollector) -> None:
    for head in ("metadata", "params"):
        for path, text in _walk_texts(data.get(head, {}), (head,)):
            report_stray_interpolation(text, collector.document.value_position(path), collector)


def _walk_texts(value: Any, path: DocumentPath) -> Iterator[tuple[DocumentPath, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in pairs:
            yield from _walk_texts(item, (*path, key))


def _check_sampling(data: Mapping[str, Any], collector: FindingCollector) -> None:
    """Sampling is decided at the start of a span; its ends must all be seen, and where `again` is
    `keep` its starts, too: one that was left out would not keep the next from starting."""
    spans, resources = data.get("spans", {}).values(), data.get("outstanding", {}).values()
    kept = [body for body in spans if body.get("again") == "keep"]
    sums = [one for body in spans for one in body.get("add", {}).values()]
    ends = _name_probes(spans, ("end", "via", "cancel")) | _name_probes(resources, ("close",))
    ends |= _name_probes(sums, ("from",))
    starts = _name_probes(kept, ("start",))
    for name, probe in data.get("probes", {}).items():
        if "sample" not in probe or name not in ends | starts:
            continue
        place = collector.document.key_position(("probes", name, "sample"))
        if name in ends:
            hint = "sample where the span starts; the weight travels with its key"
            message = f"{name!r} continues or ends a span and must see every event"
            collector.add("PP061", message, place, hint)
        else:
            message = f"{name!r} starts a span with `again: keep` and must see every event"
            hint = "leave out `sample`, or use `again: replace`"
            collector.add("PP061", message, place, hint)


def _name_probes(bodies: Iterable[Mapping[str, Any]], keys: Sequence[str]) -> set[str]:
    """The names under these keys of spans or resources, each one name or a list."""
    values = [body[key] for body in bodies for key in keys if key in body]
    return {name for value in values for name in ([value] if isinstance(value, str) else value)}


# ---------------------------------------------------------------- probes


def _check_probe(
    plan: Plan,
    probe: Probe,
    data: Mapping[str, Any],
    checker: ExpressionChecker,
    collector: FindingCollector,
) -> None:
    path: DocumentPath = ("probes", probe.name)
    scope = probe_scope(plan, probe)
    _check_definitions((*path, "let"), probe.let, scope, checker, collector)
    for item in probe.items:
        inner = item_scope(plan, probe, item)
        _check_definitions((), item.let, inner, checker, collector)
        checker.check(_expression_or_none(item.task), inner)
    for expr in (_expression_or_none(probe.task), probe.where, *(probe.emit or {}).values()):
        checker.check(expr, scope)
    for metric in probe.metrics:
        checker.check(metric.value, scope)
        checker.check(metric.where, scope)
        _check_by((*path, "metrics", metric.name, "by"), metric, data, scope, checker)
    if probe.once is not None:
        _check_by((*path, "once", "by"), probe.once, data, scope, checker)
        if probe.emit is None:
            message = f"`once` bounds records, and the probe {probe.name!r} makes none"
            place = collector.document.key_position((*path, "once"))
            collector.add("PP053", message, place, "add `emit: {}`, or leave out `once`")


def _expression_or_none(task: Any) -> Expr | None:
    return task if isinstance(task, Expr) else None


def _check_definitions(
    path: DocumentPath,
    own: Mapping[str, Expr],
    scope: Scope,
    checker: ExpressionChecker,
    collector: FindingCollector,
) -> None:
    """Check the `let` at `path` with the definitions that apply there."""
    for name, expr in own.items():
        place = collector.document.key_position((*path, name)) if path else expr.position
        if keyword.iskeyword(name):
            hint = f"call it `{name}_value` or the like"
            collector.add(
                "PP058", f"{name!r} is a reserved word of the expression language", place, hint
            )
        if name in names.BUILTINS or name in names.UNITS or names.ARGUMENT.fullmatch(name):
            hint = "it is allowed, and hides the builtin; another name would be clearer"
            collector.add("PP070", f"{name!r} is also a builtin's name", place, hint, "warning")
        if name in names_used_by(name, scope.definitions):
            hint = "a definition can use others, but not itself"
            collector.add("PP025", f"the definition of {name!r} refers to itself", place, hint)
        else:
            checker.check(expr, scope)


# ---------------------------------------------------------------- keys of metrics


_DOTTED = re.compile(r"args\.[A-Za-z_]\w*", re.ASCII)
_NOTED = re.compile(r"note\.[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*(\.[A-Za-z_]\w*)*", re.ASCII)
_NOT_KEYS = frozenset({"args", "params", "now", "note"})


def _check_by(
    path: DocumentPath,
    metric: Metric | Once,
    data: Mapping[str, Any],
    scope: Scope,
    checker: ExpressionChecker,
) -> None:
    written: Any = data
    for step in path:
        written = written.get(step, {})
    for name in metric.by:
        at = (*path, written.index(name)) if name in written else path
        place = checker.collector.document.value_position(at)
        keys = [key for key in names.BUILTINS if key not in _NOT_KEYS]
        if (computed := metric.computed.get(name)) is not None:
            checker.check(computed, scope)
            continue
        known = name.partition(".")[0] in scope.definitions or name in keys
        member = _DOTTED.fullmatch(name) or _NOTED.fullmatch(name)
        if not (known or member or names.ARGUMENT.fullmatch(name)):
            candidates = [*scope.definitions, *keys]
            otherwise = f"name it under `let`, or use one of: {', '.join(candidates)}"
            hint = suggest_name(name, candidates, otherwise)
            checker.collector.add("PP055", f"cannot count by {name!r}", place, hint)
            continue
        try:
            checker.check(parse(name, place), scope)
        except PlanError as error:
            checker.collector.extend(error.findings)
