"""What is known at an attach point: arguments with types and named values, the result, and what is
an obstacle."""

import keyword
from collections.abc import Iterator, Mapping

from orchestrator.compile.expressions.nodes import Field, Node
from orchestrator.compile.expressions.types import Type
from orchestrator.compile.point import Point
from orchestrator.compile.points import find_points
from orchestrator.discovery.search import FoundPoint, make_item
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.feature import Feature
from orchestrator.kernel.trace.print_tables import ValueNames
from orchestrator.plan.findings import Finding, PlanError
from orchestrator.run.cost.hot_points import why_hot
from orchestrator.values import dataclass

__all__ = ["Described", "PointValue", "assume_rights", "describe_point"]

_MANY_PLACES = 1 << 16
_MOST_POSITIONAL = 12
#: What a plan cannot do here without them says nothing about the attach point.
_RIGHTS = ("cap_sys_admin", "cap_bpf", "cap_perfmon")

#: Kinds that a trampoline alone attaches, and which are the same by any mechanism.
_BY_TYPES: Mapping[str, str] = {"fentry": "entry", "fexit": "function"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PointValue:
    """A value at an attach point: as a plan writes it, its type there and in C ("" where that is
    not known), and names of its values."""

    expression: str
    type: Type
    ctype: str = ""
    names: ValueNames = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """An attach point and its values. `result`: `retval`; `places`: how many there are of it in a
    file; `hot`: why it may be hit very often; `refusal`: why it cannot be attached to; `paired`:
    whether `elapsed` is known."""

    found: FoundPoint
    values: tuple[PointValue, ...] = ()
    result: PointValue | None = None
    paired: bool = False
    module: str = ""
    places: int = 1
    hot: str = ""
    refusal: Finding | None = None


def assume_rights(facts: KernelFacts) -> KernelFacts:
    """The same kernel as a process sees it that may attach: what there is depends on no one's
    rights."""
    if facts.recorded:
        return facts
    granted = {name: Feature(state="yes", detail="assumed") for name in _RIGHTS}
    if facts.feature("kprobes").state == "unknown":
        granted["kprobes"] = Feature(state="yes", detail="assumed")
    return facts.with_features(granted)


def describe_point(found: FoundPoint, facts: KernelFacts) -> Described:
    """What a plan can use at this attach point, or why it cannot use it."""
    try:
        points = find_points(make_item(found.kind, found.target), facts, _MANY_PLACES)
    except PlanError as error:
        return Described(found=found, refusal=error.findings[0])
    point = points[0]
    if point.kind in _BY_TYPES and not point.btf_id:
        return Described(found=found, refusal=_refuse_without_types(point))
    spelled = _spell_types(point, facts)
    return Described(
        found=found,
        values=tuple(_list_values(point, spelled)),
        result=_find_result(point, spelled),
        paired=point.paired,
        module=point.module,
        places=len(points),
        hot=why_hot(point) or "",
    )


def _refuse_without_types(point: Point) -> Finding:
    return Finding(
        code="PP083",
        message=f"{point.label} needs types: the kernel's BTF lacks this function, or has two of "
        "its name",
        hint=f"write {_BY_TYPES[point.kind]}:{point.symbol}, which other mechanisms attach to",
    )


_BY_SIGNATURE = ("raw tracepoint", "kernel function", "iterator")
_Spelled = Mapping[str, tuple[str, ValueNames]]


def _list_values(point: Point, spelled: _Spelled) -> Iterator[PointValue]:
    """`args.NAME`, or `argN` where arguments have no names."""
    for name, node in point.arguments.items():
        ctype, names = spelled.get(name, ("", ()))
        yield PointValue(
            expression=_write_member(name),
            type=node.type,
            ctype=ctype or _ctype_of(node),
            names=names,
        )
    if point.arguments or point.tracepoint is not None:
        return
    for index in range(_MOST_POSITIONAL):
        value = point.positional(index)
        if value is not None:
            yield PointValue(expression=f"arg{index}", type=value.type)


def _write_member(name: str) -> str:
    return f"args.{name}_" if keyword.iskeyword(name) else f"args.{name}"


def _ctype_of(node: Node) -> str:
    return node.field.ctype if isinstance(node, Field) else ""


def _find_result(point: Point, spelled: _Spelled) -> PointValue | None:
    if point.retval is None:
        return None
    ctype, names = spelled.get("", ("", ()))
    return PointValue(expression="retval", type=point.retval, ctype=ctype, names=names)


def _spell_types(point: Point, facts: KernelFacts) -> _Spelled:
    """By argument the type in C and the names of its values; "" is the result."""
    if point.tracepoint is not None and point.event:
        return _spell_fields(point, facts)
    if facts.btf is None or point.traits.site not in _BY_SIGNATURE:
        return {}
    btf = facts.btf
    if point.traits.site == "iterator":
        signature = btf.function(f"bpf_iter_{point.event}")
    elif point.event:
        signature = btf.raw_tracepoint(point.event)
    else:
        signature = btf.function(point.symbol, point.module or None)
    if signature is None:
        return {}
    types = {param.name: param.type_id for param in signature.params} | {"": signature.returns}
    return {name: (btf.type_name(one), btf.enumerators(one)) for name, one in types.items()}


def _spell_fields(point: Point, facts: KernelFacts) -> _Spelled:
    """A tracepoint's fields; the table that it prints by is more readable than the enum's."""
    assert point.tracepoint is not None
    printed = facts.value_names(point.tracepoint.category, point.tracepoint.event)
    return {
        field.name: (field.ctype, printed.get(field.name) or _find_enum(field.ctype, facts))
        for field in point.tracepoint.fields
    }


def _find_enum(ctype: str, facts: KernelFacts) -> ValueNames:
    if not ctype.startswith("enum ") or facts.btf is None:
        return ()
    type_id = facts.btf.enum(ctype)
    return facts.btf.enumerators(type_id) if type_id is not None else ()
