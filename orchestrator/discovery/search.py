"""The attach points that a query names, on one kernel, by the names that plans' globs match."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field, replace

from orchestrator.compile.expressions.members import require_btf
from orchestrator.compile.globs import (
    is_glob,
    list_tracepoints,
    select_names,
    select_probeable,
)
from orchestrator.compile.iterators import list_iterators
from orchestrator.compile.points import can_probe_functions, explain_missing_tracepoint
from orchestrator.compile.user_code.points import list_plain_functions, list_plain_probes
from orchestrator.discovery.query import PointQuery, suggest_kind
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.attach_kinds import KINDS, AttachKind
from orchestrator.plan.findings import Finding, PlanError, Position, plan_error
from orchestrator.plan.model import AttachItem
from orchestrator.plan.naming.perf_events import PERF_EVENTS
from orchestrator.plan.nearest import find_nearest
from orchestrator.values import dataclass

__all__ = ["FoundPoint", "Search", "explain_nothing_found", "find_by_query", "make_item"]

_FEW = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPoint:
    """An attach point of a kernel or file. `refused`: it exists, and must not or cannot be
    attached to."""

    kind: AttachKind
    target: str
    refused: bool = False

    @property
    def text(self) -> str:
        """As a plan writes it."""
        return f"{self.kind}:{self.target}"


@dataclass(slots=True)
class Search:
    """What was found, in the order of kinds and names; `unspelled`: how many more there are whose
    names a plan cannot write; `problems`: why a kind was not searched."""

    points: list[FoundPoint] = field(default_factory=list)
    unspelled: int = 0
    problems: list[Finding] = field(default_factory=list)


def find_by_query(query: PointQuery, facts: KernelFacts) -> Search:
    """All attach points that the query names."""
    search = Search()
    for kind in query.kinds:
        try:
            found = list(_find_of_kind(kind, query, facts, search))
        except PlanError as error:
            search.problems += error.findings
            continue
        is_spelled = re.compile(KINDS[kind].pattern, re.ASCII).fullmatch
        spelled = [point for point in found if is_spelled(point.target)]
        search.unspelled += len(found) - len(spelled)
        search.points += spelled
    return search


def make_item(kind: AttachKind, target: str) -> AttachItem:
    """The attach point as a plan has it, for the compiler."""
    return AttachItem(text=f"{kind}:{target}", kind=kind, target=target)


def _find_of_kind(
    kind: AttachKind, query: PointQuery, facts: KernelFacts, search: Search
) -> Iterable[FoundPoint]:
    match KINDS[kind].site:
        case "kernel function":
            return _find_functions(kind, query, facts)
        case "tracepoint":
            return _find_tracepoints(query, _require_tracepoints(kind, facts))
        case "raw tracepoint":
            item = make_item(kind, query.pattern)
            btf = require_btf(facts, item.position, "raw tracepoints are known by their types")
            return _make_points(kind, select_names(query.pattern, btf.raw_tracepoint_names()))
        case "iterator":
            item = make_item(kind, query.pattern)
            btf = require_btf(facts, item.position, "iterators are known by their types")
            return _make_points(kind, select_names(query.pattern, list_iterators(btf)))
        case "system call":
            events = _require_tracepoints(kind, facts)
            return _make_points(kind, _select_traced_calls(query, facts, events))
        case "user code":
            return _find_in_file(kind, query, search)
        case "counter":
            return _find_counters(kind, query)
        case _:
            return _show_form(kind, query)


def _make_points(kind: AttachKind, targets: Iterable[str]) -> Iterator[FoundPoint]:
    return (FoundPoint(kind=kind, target=target) for target in targets)


# ---------------------------------------------------------------- the kernel


def _find_functions(
    kind: AttachKind, query: PointQuery, facts: KernelFacts
) -> Iterator[FoundPoint]:
    """Functions, also those that cannot be probed. Raises PlanError where none can be."""
    if facts.feature("kprobes").state == "no" and not can_probe_functions(facts):
        detail = facts.feature("kprobes").detail
        hint = "look at another kernel: --kernel debian:6.1, or a recording"
        item = make_item(kind, query.pattern)
        message = f"this kernel cannot probe functions: {detail}"
        raise plan_error("PP080", message, item.position, hint)
    names = facts.symbols.glob(query.pattern, 1 << 20)
    fit = set(select_probeable(facts, names))
    return (FoundPoint(kind=kind, target=name, refused=name not in fit) for name in names)


def _require_tracepoints(kind: AttachKind, facts: KernelFacts) -> tuple[str, ...]:
    """All tracepoints. Raises PlanError where none can be seen: each kernel has some."""
    known = list_tracepoints(facts)
    if not known:
        hint = "is tracefs mounted, and are you root?"
        message = f"whether there is a {kind} is not known: no tracepoints can be seen"
        raise plan_error("PP080", message, make_item(kind, "*").position, hint)
    return known


def _find_tracepoints(query: PointQuery, known: Sequence[str]) -> Iterator[FoundPoint]:
    """By CATEGORY:EVENT; without a colon, by category if the kind is named, and by event."""
    pattern = query.pattern
    found = select_names(pattern if ":" in pattern else f"*:{pattern}", known)
    if ":" not in pattern and query.named:
        found = sorted({*found, *select_names(f"{pattern}:*", known)})
    return _make_points("tracepoint", found)


def _select_traced_calls(query: PointQuery, facts: KernelFacts, known: Sequence[str]) -> list[str]:
    """System calls that have tracepoints for entry and return."""
    events = set(known)
    return [
        name
        for name in select_names(query.pattern, facts.syscalls())
        if {f"syscalls:sys_enter_{name}", f"syscalls:sys_exit_{name}"} <= events
    ]


def _show_form(kind: AttachKind, query: PointQuery) -> Iterator[FoundPoint]:
    """Timers and the like have no names: the target that is asked for, or an example."""
    traits = KINDS[kind]
    asked = re.fullmatch(traits.pattern, query.pattern, re.ASCII)
    return _make_points(kind, [query.pattern if asked else traits.example])


def _find_counters(kind: AttachKind, query: PointQuery) -> Iterator[FoundPoint]:
    """The events by name; one with a period, as it is asked for."""
    if re.fullmatch(KINDS[kind].pattern, query.pattern, re.ASCII):
        return _make_points(kind, [query.pattern])
    return _make_points(kind, select_names(query.pattern, PERF_EVENTS))


# ---------------------------------------------------------------- files


def _find_in_file(kind: AttachKind, query: PointQuery, search: Search) -> Iterator[FoundPoint]:
    item = make_item(kind, f"{query.file}:{query.pattern}")
    list_names = list_plain_probes if kind == "usdt" else list_plain_functions
    names, unspelled = list_names(item, query.file)
    search.unspelled += unspelled
    return _make_points(
        kind, [f"{query.file}:{name}" for name in _select_in_file(kind, query, names)]
    )


def _select_in_file(kind: AttachKind, query: PointQuery, names: Iterable[str]) -> Iterable[str]:
    """A USDT pattern without a colon is a provider's or a probe's name."""
    if kind != "usdt" or ":" in query.pattern:
        plain = query.pattern.partition("@")[0].partition("+")[0]
        return select_names(query.pattern if is_glob(query.pattern) else plain, names)
    names = tuple(names)
    return sorted(
        {*select_names(f"{query.pattern}:*", names), *select_names(f"*:{query.pattern}", names)}
    )


# ---------------------------------------------------------------- nothing


def explain_nothing_found(query: PointQuery, facts: KernelFacts, search: Search) -> Finding:
    """Why nothing was found, and what there is instead."""
    if query.kinds == ("tracepoint",) and ":" in query.pattern and not search.problems:
        category, _, event = query.pattern.partition(":")
        message, hint = explain_missing_tracepoint(facts, category, event)
        return _make_finding(message, suggest_kind(query) or hint)
    if len(search.problems) == len(query.kinds):
        return _make_finding(search.problems[0].message, search.problems[0].hint)
    where = " or ".join(query.kinds)
    name = "" if query.pattern == "*" else f" {query.pattern!r}"
    message = f"found no {where}{name}" + (f" in {query.file}" if query.file else "")
    message += "".join(f"; {problem.message}" for problem in search.problems)
    return _make_finding(message, _suggest_similar(query, facts))


def _make_finding(message: str, hint: str) -> Finding:
    return Finding(
        code="PP080", message=message, position=Position(file="<command line>"), hint=hint
    )


def _suggest_similar(query: PointQuery, facts: KernelFacts) -> str:
    """What contains the word that was asked for, else names like it."""
    bare = query.pattern.strip("*?")
    if not is_glob(query.pattern):
        inside = find_by_query(replace(query, pattern=f"*{bare}*"), facts).points
        if inside:
            first = ", ".join(point.text for point in inside[:_FEW])
            prefix = query.text.removesuffix(query.pattern)
            return f"{len(inside):,} names contain it: probeplan list '{prefix}*{bare}*' ({first})"
    every = find_by_query(replace(query, pattern="*"), facts).points
    points = {point.target.rpartition(":")[2]: point for point in every}
    near = [points[name].text for name in find_nearest(bare, points, 3)]
    if near:
        return f"did you mean {' or '.join(near)}?"
    return "`probeplan list` shows which kinds there are"
