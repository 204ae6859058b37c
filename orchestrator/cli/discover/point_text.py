"""A described attach point, for people and as JSON."""

from collections.abc import Iterator

from orchestrator.discovery.description import Described, PointValue
from orchestrator.plan.printable import make_printable

__all__ = ["list_record", "list_text"]

_MOST_NAMES = 8


def list_text(point: Described) -> Iterator[str]:
    """What -v shows: the attach point as a plan writes it, then a line for each value."""
    yield f"attach: {point.found.text}"
    if point.refusal is not None:
        yield f"  refused: {make_printable(point.refusal.message)}"
        if point.refusal.hint:
            yield f"  instead: {make_printable(point.refusal.hint)}"
        return
    values = [*point.values, *([point.result] if point.result else [])]
    width = max((len(value.expression) for value in values), default=0)
    types = max((len(str(value.type)) for value in values), default=0)
    for value in values:
        yield _format_value(value, width, types)
    if point.paired:
        yield f"  {'elapsed':{width}}  duration"
    if point.module:
        yield f"  module: {make_printable(point.module)}"
    if point.places > 1:
        yield f"  places: {point.places}"
    if point.hot:
        yield f"  hot: {point.hot}"


def _format_value(value: PointValue, width: int, types: int) -> str:
    line = f"  {value.expression:{width}}  {value.type!s:{types}}  {value.ctype}"
    if value.names:
        line += f"  {_format_names(value)}"
    return make_printable(line.rstrip())


def _format_names(value: PointValue) -> str:
    first = ", ".join(f"{name}={number}" for name, number in value.names[:_MOST_NAMES])
    rest = len(value.names) - _MOST_NAMES
    return f"{first}, and {rest} more" if rest > 0 else first


def list_record(point: Described, *, with_values: bool) -> dict[str, object]:
    """The same as JSON; without values, by name alone."""
    found = point.found
    record: dict[str, object] = {"kind": found.kind, "target": found.target, "attach": found.text}
    if found.refused or point.refusal is not None:
        record["refused"] = point.refusal.message if point.refusal is not None else True
    if not with_values or point.refusal is not None:
        return record
    return record | {
        "values": [_record_value(value) for value in point.values],
        "result": None if point.result is None else _record_value(point.result),
        "has_elapsed": point.paired,
        "module": point.module,
        "places": point.places,
        "hot": point.hot,
    }


def _record_value(value: PointValue) -> dict[str, object]:
    return {
        "expression": value.expression,
        "type": str(value.type),
        "ctype": value.ctype,
        "names": [{"name": name, "value": number} for name, number in value.names],
    }
