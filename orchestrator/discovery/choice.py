"""The one attach point, or the one glob, that a new plan is for."""

from dataclasses import replace

from orchestrator.compile.globs import is_glob, select_names
from orchestrator.discovery.description import Described, describe_point
from orchestrator.discovery.query import PointQuery, parse_query
from orchestrator.discovery.search import (
    FoundPoint,
    Search,
    explain_nothing_found,
    find_by_query,
)
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.attach_kinds import KINDS, AttachKind
from orchestrator.plan.findings import Finding, HostError, PlanError, Position, of_command_line
from orchestrator.values import dataclass

__all__ = ["ChosenPoint", "choose_points"]

#: As limits.probes has it.
_MOST_POINTS = 64
_SHOWN = 4
_IN_TWO_PARTS = ("tracepoint", "usdt")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenPoint:
    """What a plan attaches to, and what is known at each place of it."""

    kind: AttachKind
    target: str
    points: tuple[Described, ...]


def choose_points(text: str, facts: KernelFacts) -> ChosenPoint:
    """The attach point of a name, or those of a glob of one kind. A name that several kinds have is
    that of the first of them: a tracepoint before a function. Raises PlanError for a glob that
    matches too much, and HostError where there is nothing to attach to."""
    query = parse_query(text)
    search = find_by_query(query, facts)
    if not search.points:
        raise HostError([explain_nothing_found(query, facts, search)])
    kind = search.points[0].kind
    found = [point for point in search.points if point.kind == kind]
    if not is_glob(query.pattern) or len(found) == 1:
        _require_one(text, found)
        return ChosenPoint(kind=kind, target=found[0].target, points=_describe(found, facts))
    usable = [point for point in found if not point.refused]
    _require_few(text, usable, search)
    return ChosenPoint(
        kind=kind, target=_write_glob(query, kind, usable), points=_describe(usable, facts)
    )


def _write_glob(query: PointQuery, kind: AttachKind, found: list[FoundPoint]) -> str:
    """The target of all that was found. Of a name in two parts, a category or a provider and its
    event, the query may have one alone. Raises PlanError where it matches either."""
    patterns = [query.pattern]
    if kind in _IN_TWO_PARTS and ":" not in query.pattern:
        patterns = [f"*:{query.pattern}", f"{query.pattern}:*"]
    file = f"{query.file}:" if query.file else ""
    names = {point.target.removeprefix(file) for point in found}
    for pattern in patterns:
        if names <= set(select_names(pattern, names)):
            return file + pattern
    message = f"{query.text!r} matches names of categories and of events"
    raise PlanError([of_command_line(message, f"write {kind}:{KINDS[kind].form}")])


def _require_one(text: str, found: list[FoundPoint]) -> None:
    if len(found) > 1:
        names = ", ".join(point.text for point in found[:_SHOWN])
        message = f"{text!r} is the name of {len(found)} attach points"
        raise PlanError([of_command_line(message, f"name one: {names}")])


def _require_few(text: str, usable: list[FoundPoint], search: Search) -> None:
    if not usable:
        message = (
            f"none of the {len(search.points)} attach points that {text!r} matches can be used"
        )
        raise HostError([_of_host(Finding(code="PP081", message=message))])
    if len(usable) > _MOST_POINTS:
        message = f"{text!r} matches {len(usable)} attach points; a plan may have {_MOST_POINTS}"
        names = ", ".join(point.text for point in usable[:_SHOWN])
        raise PlanError([of_command_line(message, f"narrow the glob (first: {names})")])


def _describe(found: list[FoundPoint], facts: KernelFacts) -> tuple[Described, ...]:
    described = [describe_point(point, facts) for point in found]
    usable = tuple(point for point in described if point.refusal is None)
    if not usable:
        refusal = described[0].refusal
        assert refusal is not None
        raise HostError([_of_host(refusal)])
    return usable


def _of_host(finding: Finding) -> Finding:
    return replace(finding, position=Position(file="<command line>"))
