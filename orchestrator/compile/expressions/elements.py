"""`x[i]`: an element of an array in memory, of a string, or of what a pointer leads to."""

from collections.abc import Callable
from dataclasses import replace

from orchestrator.compile.expressions.arithmetic import convert_node, require_integer
from orchestrator.compile.expressions.functions import require_pointer
from orchestrator.compile.expressions.members import find_number_type, read_at, require_table
from orchestrator.compile.expressions.nodes import (
    Address,
    Arithmetic,
    Comparison,
    Const,
    Either,
    Field,
    Load,
    Node,
    ShareNode,
)
from orchestrator.compile.expressions.types import (
    U8,
    U64,
    Array,
    Int,
    Pointer,
    Space,
    Str,
    Type,
    UnknownType,
    with_space,
)
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import NOWHERE, PlanError, Position, plan_error
from orchestrator.values import dataclass

__all__ = ["read_element"]

#: Where nothing can be read, so that the read fails: no program has memory at the end of the
#: address space, and the kernel refuses to read what would be a program's (TASK_SIZE_MAX in
#: arch/x86/mm/maccess.c; arm64 checks the same by is_ttbr1_addr).
_NOWHERE: dict[Space, int] = {"user": (1 << 64) - (1 << 16), "kernel": 0}
_FARTHEST = 1 << 31  # bytes from the start of an array to a constant index


@dataclass(frozen=True, slots=True, kw_only=True)
class _ElementRow:
    """Elements that lie one after the other from the address `start`: each of `size` bytes,
    `count` of them (0: not known), read by `read` at an address and an offset from it."""

    start: Node
    size: int
    count: int
    read: Callable[[Node, int], Node | None]


def read_element(
    facts: KernelFacts, base: Node, index: Node, share: ShareNode, position: Position
) -> Node:
    """`base[index]`. A constant index must be within an array; another one is null outside of it.
    Raises PlanError."""
    if isinstance(base.type, UnknownType):
        raise plan_error("PP084", "an element of a value of unknown type", position)
    row = _find_row(facts, base, position)
    index = require_integer(index, position, "the index")
    element = (
        row.read(row.start, _find_offset(row, index.value, position))
        if isinstance(index, Const)
        else row.read(_address_in(row, share(index)), 0)
    )
    if element is None:
        raise plan_error("PP084", "the elements are no number, string or pointer", position)
    return element


# ---------------------------------------------------------------- what has elements


def _find_row(facts: KernelFacts, base: Node, position: Position) -> _ElementRow:
    match base.type:
        case Str(size=size) if isinstance(base, Load):
            start = Address(base.base, base.offset, _bytes_in(base), member=base.member)
            return _ElementRow(start=start, size=1, count=size, read=_reader_of(U8))
        case Array(count=count) if isinstance(base, Field):
            return _row_of_field(base, count, position)
        case Array(space=space, element=element, count=count) if isinstance(base, Address):
            start = replace(base, type=Pointer(space, element))
            return _row_of_type(facts, start, count, position)
        case Pointer():
            return _row_of_type(facts, base, 0, position)
        case other:
            hint = 'name the type of its elements: cast(p, "u32 *")[i]'
            raise plan_error("PP084", f"a {other} has no elements", position, hint)


def _bytes_in(string: Load) -> Pointer:
    space = string.base.type.space if hasattr(string.base.type, "space") else "kernel"
    return Pointer("user" if space == "user" else "kernel", assumed=True)


def _row_of_field(base: Field, count: int, position: Position) -> _ElementRow:
    """An array in the record of an event, whose elements the event's format file describes."""
    field = base.field
    kind = find_number_type(field.ctype.partition("[")[0])
    size = field.element_size
    if kind is None and size in (1, 2, 4, 8) and field.ctype.find("*") < 0:
        kind = Int(size * 8, field.signed)
    if field.kind != "array" or not count or not isinstance(kind, Int) or kind.bits != size * 8:
        raise plan_error("PP084", f"the elements of {field.name!r} are not known here", position)
    space = base.type.space if isinstance(base.type, Array) else "kernel"
    start = Field(field, Pointer("kernel", assumed=True))
    return _ElementRow(
        start=start, size=size, count=count, read=_reader_of(with_space(kind, space))
    )


def _reader_of(kind: Type) -> Callable[[Node, int], Node]:
    return lambda at, offset: Load(at, offset, kind)


def _row_of_type(facts: KernelFacts, start: Node, count: int, position: Position) -> _ElementRow:
    """Elements of a type that is known by its id, behind the pointer `start`."""
    kind = start.type
    assert isinstance(kind, Pointer)
    if not kind.target:
        raise _no_size("what this pointer leads to has no type", position)
    table = require_table(facts, kind.target, position, "an element needs type information")
    size = table.type(kind.target).size
    if not size:
        raise _no_size(f"the size of {table.type_name(kind.target)} is not known", position)

    def read(at: Node, offset: int) -> Node | None:
        return read_at(table, at, offset, kind.target, kind.space)

    return _ElementRow(start=start, size=size, count=count, read=read)


def _no_size(message: str, position: Position) -> PlanError:
    return plan_error("PP084", message, position, 'name the type: cast(p, "u32 *")[i]')


# ---------------------------------------------------------------- where an element is


def _find_offset(row: _ElementRow, index: int, position: Position) -> int:
    """Bytes from the start to a constant index. Raises PlanError PP086 outside of the array."""
    if row.count and not 0 <= index < row.count:
        hint = f"from 0 to {row.count - 1}"
        raise plan_error("PP086", f"index {index} of {row.count} elements", position, hint)
    offset = index * row.size
    if not 0 <= offset < _FARTHEST:
        hint = f"within {_FARTHEST // row.size:,} elements, and from 0"
        raise plan_error("PP086", f"index {index}", position, hint)
    return offset


def _address_in(row: _ElementRow, index: Node) -> Node:
    """The address of an element by an index that each event gives; where it is outside of the
    array, one at which nothing can be read."""
    pointer = require_pointer(row.start, "an element", NOWHERE)
    kind = pointer.type
    assert isinstance(kind, Pointer)
    start, number = convert_node(pointer, U64), convert_node(index, U64)
    assert isinstance(start.type, Int)
    steps = Arithmetic("*", number, Const(row.size, U64), U64)
    address: Node = Arithmetic("+", start, steps, start.type)
    if row.count:
        inside = Comparison("<", number, Const(row.count, U64))
        address = Either(inside, address, Const(_NOWHERE[kind.space], start.type), start.type)
    return convert_node(address, kind)
