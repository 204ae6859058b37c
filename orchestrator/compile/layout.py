"""Common types of a probe's hooks, and the layout of records and keys."""

from collections.abc import Mapping, Sequence
from functools import reduce

from orchestrator.compile.expressions.arithmetic import convert_node
from orchestrator.compile.expressions.nodes import Node, ShownAs
from orchestrator.compile.expressions.types import (
    U64,
    Array,
    Bool,
    Buffer,
    Endpoint,
    Int,
    Ip,
    KernelPath,
    PacketValue,
    Pointer,
    StackId,
    Str,
    StringList,
    Struct,
    Type,
    UnknownType,
    size_of,
    space_of,
    with_space,
)
from orchestrator.compile.program import (
    RECORD_HEADER_SIZE,
    Emit,
    FieldForm,
    FieldUnit,
    KeyField,
    Presentation,
    RecordField,
)
from orchestrator.plan.expression.syntax import Expr
from orchestrator.plan.findings import Position, plan_error

MAX_FIELDS = 32  # one bit each in the record's `nulls` and `truncated`

#: A value to place: its name, the type that all hooks share, and how it is shown.
FieldToPlace = tuple[str, Type, Presentation | None]

_SIZED = (Str, Buffer, StringList, KernelPath, Endpoint)
_IPS: Mapping[int, FieldForm] = {0: "ip", 4: "ipv4", 6: "ipv6"}


def unify_types(types: Sequence[Type], name: str, position: Position) -> Type:
    """The one type of a field that several hooks fill (language, rule 7). Raises PlanError."""
    return reduce(lambda left, right: _unify_two(left, right, name, position), types)


def _unify_two(first: Type, second: Type, name: str, position: Position) -> Type:
    if first == second:
        return with_space(first, space_of(first), space_of(second))
    if isinstance(first, UnknownType) or isinstance(second, UnknownType):
        return UnknownType(plain=False)
    spaces = space_of(first), space_of(second)
    if isinstance(first, Pointer) and isinstance(second, Pointer):
        return with_space(U64, *spaces)
    if isinstance(first, Ip) and isinstance(second, Ip):
        return Ip(0)
    if (
        isinstance(first, _SIZED)
        and type(first) is type(second)
        and _are_shown_alike(first, second)
    ):
        return max(first, second, key=size_of)
    if isinstance(first, Int | Pointer) and isinstance(second, Int | Pointer):
        left, right = _as_int(first), _as_int(second)
        bits = _bits_of_both(left, right)
        if bits <= 64:
            unit = left.unit if left.unit == right.unit else ""
            return with_space(Int(bits, left.signed or right.signed, unit), *spaces)
    raise plan_error(
        "PP090",
        f"{name!r} is a {first} at one attach point and a {second} at another",
        position,
        'bring them to one type with cast(x, "s64")',
    )


def _are_shown_alike(first: Type, second: Type) -> bool:
    return getattr(first, "text", False) == getattr(second, "text", False)


def _bits_of_both(left: Int, right: Int) -> int:
    """Bits of an integer that holds all values of both: of a signed and an unsigned one, twice
    those of the unsigned."""
    if left.signed == right.signed:
        return max(left.bits, right.bits)
    signed, unsigned = (left, right) if left.signed else (right, left)
    return max(signed.bits, 2 * unsigned.bits)


def _as_int(kind: Int | Pointer) -> Int:
    return kind if isinstance(kind, Int) else U64


def record_form(kind: Type, name: str, position: Position) -> FieldForm:
    """The form of a value of this type in a record. Raises PlanError for a type without values."""
    match kind:
        case Int():
            return kind.name  # type: ignore[return-value]  # the eight names are FieldForms
        case Bool():
            return "bool"
        case Str():
            return "string"
        case Ip(version=version):
            return _IPS[version]
        case Buffer(text=text):
            return "text" if text else "bytes"
        case StringList():
            return "strings"
        case KernelPath():
            return "path"
        case Endpoint():
            return "endpoint"
        case StackId(space=space, single=single):
            return "usym" if single else "kstack" if space == "kernel" else "ustack"
        case Pointer():
            return "u64"
        case Struct() | Array() | PacketValue():
            raise plan_error(
                "PP084",
                f"{name!r} is a whole {kind}, not a value",
                position,
                "name a member of it, or read a string with str()",
            )
        case _:
            raise plan_error("PP084", f"{name!r} is a {kind}, which cannot be kept", position)


def convert_to_type(node: Node, kind: Type) -> Node:
    """`node` in the form of `kind`, the unified type of its field."""
    if isinstance(node, ShownAs):
        return convert_to_type(node.value, kind)
    if isinstance(kind, Int) and isinstance(node.type, Int | Bool | Pointer):
        return convert_node(node, kind)
    if isinstance(kind, Pointer):
        return convert_node(node, U64)
    return node


def merge_presentations(nodes: Sequence[Node]) -> Presentation | None:
    """The presentations of all hooks merged; a string that one hook hashes is hashed for all."""
    shown = [node for node in nodes if isinstance(node, ShownAs)]
    names = {code: name for node in shown for code, name in node.names.items()}
    hashed = any(node.hashed for node in shown)
    first = next((node for node in shown if node.form), None)
    otherwise = next((node.otherwise for node in shown if node.otherwise), "")
    if first is not None:
        return Presentation(
            names=names,
            hashed=hashed,
            form=first.form,
            prefix=first.prefix,
            otherwise=otherwise,
        )
    if not (names or hashed or otherwise):
        return None
    return Presentation(names=names, hashed=hashed, otherwise=otherwise)


def show_as(node: Node, kind: Type, shown: Presentation | None) -> Node:
    """`node`, a value of this type, to be shown so: as it is without a presentation."""
    if shown is None:
        return node
    return ShownAs(node, kind, shown.names, shown.hashed, shown.form, shown.prefix, shown.otherwise)


def _align(offset: int, kind: Type) -> int:
    align = 1 if isinstance(kind, Str) else min(size_of(kind), 8)
    if kind in (Ip(4), Ip(6)):
        align = 4
    return -(-offset // align) * align


def unify_column(name: str, nodes: Sequence[Node], position: Position) -> FieldToPlace:
    """The value to place that all these nodes, one of each hook, can fill. Raises PlanError."""
    kind = unify_types([node.type for node in nodes], name, position)
    return name, kind, merge_presentations(nodes)


def record_fields(
    emit: Mapping[str, Expr], made: Sequence[Mapping[str, Node]]
) -> list[FieldToPlace]:
    """The fields of a record, in types that all hooks can fill: `made` has each hook's nodes.
    Raises PlanError at the expression that gives no value to record."""
    fields: list[FieldToPlace] = []
    for name, expr in emit.items():
        field = unify_column(name, [nodes[name] for nodes in made], expr.position)
        record_form(field[1], name, expr.position)
        fields.append(field)
    return fields


def lay_out_record(
    index: int,
    probe: str,
    fields: Sequence[FieldToPlace],
    has_task: bool,
    position: Position,
) -> Emit:
    """The record of one probe, its fields after the header in the order of the plan."""
    if len(fields) > MAX_FIELDS:
        raise plan_error("PP086", f"{len(fields)} emitted fields; at most {MAX_FIELDS}", position)
    offset, placed = RECORD_HEADER_SIZE, []
    for bit, (name, kind, shown) in enumerate(fields):
        offset = _align(offset, kind)
        placed.append(
            RecordField(
                name=name,
                form=record_form(kind, name, position),
                offset=offset,
                size=size_of(kind),
                bit=bit,
                presentation=shown,
                unit=_find_unit(kind),
            )
        )
        offset += size_of(kind)
    return Emit(index=index, probe=probe, fields=tuple(placed), has_task=has_task)


def _find_unit(kind: Type) -> FieldUnit:
    match kind:
        case Int(unit="duration"):
            return "ns"
        case Int(unit="bytes"):
            return "bytes"
        case Pointer():
            return "address"
        case Int(bits=64, space=space) if space:
            return "word"
    return ""


def record_size(emits: Sequence[Emit]) -> int:
    """The size of every record of the program: that of the largest, a multiple of 8."""
    ends = (field.offset + field.size for emit in emits for field in emit.fields)
    return -(-max(ends, default=RECORD_HEADER_SIZE) // 8) * 8


def lay_out_columns(
    names: Sequence[str], keys: Sequence[Sequence[Node]], position: Position
) -> tuple[tuple[KeyField, ...], int]:
    """The parts of a key as each hook computes them (`keys`), in types that all can fill, and the
    key's size in bytes. Raises PlanError where hooks do not agree on a type."""
    columns = zip(names, zip(*keys, strict=True), strict=True)
    fields = [unify_column(name, nodes, position) for name, nodes in columns]
    return lay_out_key(fields, position)


def lay_out_key(
    fields: Sequence[FieldToPlace], position: Position
) -> tuple[tuple[KeyField, ...], int]:
    """The parts of a metric's key, and the key's size in bytes. Strings begin at whole words: keys
    are built on the BPF stack, where constant text is stored by words, which must be aligned
    (kernel/bpf/verifier.c, check_ptr_alignment)."""
    offset, placed = 0, []
    for name, kind, shown in fields:
        offset = _align(offset, U64 if isinstance(kind, Str) else kind)
        placed.append(
            KeyField(
                name=name,
                form=record_form(kind, name, position),
                offset=offset,
                size=size_of(kind),
                presentation=shown,
                unit=_find_unit(kind),
            )
        )
        offset += size_of(kind)
    return tuple(placed), -(-offset // 8) * 8
