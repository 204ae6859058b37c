"""Chooses alternatives together: all probes of one span, and those that set and drop one note,
attach by items with the same tag (`as`)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from orchestrator.plan.model import Plan, Probe

__all__ = ["choose_tags", "with_tag"]


def choose_tags(plan: Plan, resolves: Callable[[Probe], bool]) -> Mapping[str, str]:
    """By probe, the tag whose items it may take: the first in the order of the plan with which
    every probe of the span resolves here; where none does, the first, so that its reasons are
    reported."""
    chosen: dict[str, str] = {}
    for names in _probes_by_span(plan):
        probes = [probe for probe in plan.probes if probe.name in names and _tags_of(probe)]
        if probes and any(len(_tags_of(probe)) > 1 for probe in probes):
            tag = _first_that_fits(probes, chosen, resolves)
            chosen.update({probe.name: chosen.get(probe.name, tag) for probe in probes})
    return chosen


def with_tag(probe: Probe, tag: str) -> Probe:
    """The probe with only the items of that tag, and those that have none."""
    return replace(probe, items=tuple(item for item in probe.items if item.tag in ("", tag)))


def _probes_by_span(plan: Plan) -> Iterator[Sequence[str]]:
    for span in plan.spans:
        yield span.probes
    for resource in plan.outstanding:
        yield (*resource.open, *resource.close)
    for note in plan.notes:
        yield (*note.set_by, *note.drop_by)


def _tags_of(probe: Probe) -> list[str]:
    return list(dict.fromkeys(item.tag for item in probe.items if item.tag))


def _first_that_fits(
    probes: Sequence[Probe], chosen: Mapping[str, str], resolves: Callable[[Probe], bool]
) -> str:
    tags = [tag for probe in probes if (tag := chosen.get(probe.name))] or _tags_of(probes[0])
    for tag in tags:
        tried = [with_tag(probe, tag) for probe in probes]
        if all(probe.items and resolves(probe) for probe in tried):
            return tag
    return tags[0]
