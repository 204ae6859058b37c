"""A plan's entry in the catalog."""

from collections.abc import Callable, Iterator, Mapping

from orchestrator.catalog.entry import CatalogEntry, CatalogParam
from orchestrator.plan.model import Param, Plan
from orchestrator.plan.units import format_bytes, format_duration

__all__ = ["entry_from_plan"]

_FORMATS: Mapping[str, Callable[[int], str]] = {
    "duration": format_duration,
    "bytes": format_bytes,
    "ratio": "1/{}".format,
}


def entry_from_plan(plan: Plan, *, name: str, area: str, file: str) -> CatalogEntry:
    """The entry of a plan that is known as `name`."""
    head = plan.metadata
    return CatalogEntry(
        name=name,
        question=head.summary,
        area=area,
        file=file,
        equivalents=head.equivalents,
        cost=head.cost,
        tags=head.tags,
        points=tuple(dict.fromkeys(_list_points(plan))),
        params=tuple(map(_describe_param, plan.params.values())),
    )


def _list_points(plan: Plan) -> Iterator[str]:
    for probe in plan.probes:
        for item in probe.items:
            yield item.text if item.deferred else f"{item.kind}:{item.target}"


def _describe_param(param: Param) -> CatalogParam:
    default = None if param.default is None else _format_default(param)
    return CatalogParam(
        name=param.name,
        type=param.type,
        default=default,
        summary=param.summary,
        choices=param.choices,
    )


def _format_default(param: Param) -> str:
    """As `--set` takes it."""
    if isinstance(param.default, bool):
        return str(param.default).lower()
    show = _FORMATS.get(param.type)
    return show(param.default) if show and isinstance(param.default, int) else str(param.default)
