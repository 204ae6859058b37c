"""Values in memory: from a BTF type and an address to the node that reads it."""

from collections.abc import Iterator, Mapping

from orchestrator.compile.expressions.nodes import Address, Field, Load, Node, RawArg, Register
from orchestrator.compile.expressions.types import (
    BOOL,
    DURATION,
    INTEGERS,
    S32,
    S64,
    U64,
    Array,
    Endpoint,
    Int,
    Pointer,
    Space,
    Str,
    Struct,
    Type,
)
from orchestrator.kernel.btf import Btf
from orchestrator.kernel.btf_types import BtfType
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.tracepoints import TraceField
from orchestrator.plan.findings import Position, plan_error
from orchestrator.plan.nearest import suggest_or_list


def require_btf(facts: KernelFacts, position: Position, why: str) -> Btf:
    """The kernel's BTF. Raises PlanError PP083, with `why`, where there is none."""
    if facts.btf is None:
        raise plan_error(
            "PP083",
            f"{why}, and this kernel has no BTF",
            position,
            "use a kernel with CONFIG_DEBUG_INFO_BTF, or a tracepoint whose fields need no types",
        )
    return facts.btf


def scalar_type(kind: BtfType, btf: Btf, type_id: int, space: Space) -> Type | None:
    """The type of a value that fits a register; None for structs, arrays, floats and the like."""
    if kind.kind in ("int", "char", "enum") and kind.size in (1, 2, 4, 8):
        return Int(kind.size * 8, kind.signed)
    if kind.kind == "bool":
        return BOOL
    if kind.kind == "pointer":
        return Pointer("user" if btf.is_user_pointer(type_id) else space, kind.target)
    return None


def register_type(btf: Btf, type_id: int, space: Space = "kernel") -> Type | None:
    """The type of an argument or return value; None for what is passed in another way."""
    return scalar_type(btf.type(type_id), btf, type_id, space)


def read_at(  # noqa: PLR0913  # a place in memory has this many coordinates
    btf: Btf, base: Node, offset: int, type_id: int, space: Space, bits: tuple[int, int] = (0, 0)
) -> Node | None:
    """The node for a BTF type at `base + offset`: a read, or an address for what is not read as a
    whole. `bits` is (offset, size) of a bitfield in its integer. None: not readable (floats)."""
    kind = btf.type(type_id)
    if kind.kind in ("struct", "union"):
        return Address(base, offset, Struct(space, kind.id))
    if kind.kind == "array":
        if btf.type(kind.target).kind == "char":
            return Load(base, offset, Str(max(kind.count, 1)))
        return Address(base, offset, Array(space, kind.target, kind.count))
    scalar = scalar_type(kind, btf, type_id, space)
    if scalar is None:
        return None
    if bits[1] and isinstance(scalar, Int):
        return Load(base, offset, scalar, *bits)
    return Load(base, offset, scalar)


def read_member(facts: KernelFacts, base: Node, name: str, position: Position) -> Node:
    """`base.name` through a pointer or of an embedded struct. Raises PlanError."""
    btf = require_btf(facts, position, f"the member {name!r} needs type information")
    owner, space = _find_owner(btf, base, name, position)
    btf_member = btf.member(owner.id, name)
    if btf_member is None:
        raise plan_error(
            "PP082",
            f"{owner.kind} {owner.name or '(nameless)'} has no member {name!r} on this kernel",
            position,
            suggest_or_list(name, btf.member_names(owner.id)),
        )
    node = _read_member_at(
        btf, base, space, btf_member.bit_offset, btf_member.bit_size, btf_member.type_id
    )
    if node is None:
        raise plan_error(
            "PP084",
            f"{name!r} is a {btf.type_name(btf_member.type_id)}, which cannot be "
            "read as a number, a string or a pointer",
            position,
        )
    return node


def _find_owner(btf: Btf, base: Node, name: str, position: Position) -> tuple[BtfType, Space]:
    match base.type:
        case Struct(space=space, type_id=type_id):
            return btf.type(type_id), space
        case Pointer(space=space, target=target) if target:
            kind = btf.type(target)
            if kind.kind in ("struct", "union"):
                return kind, space
            raise plan_error(
                "PP084", f"{name!r}: a pointer to {btf.type_name(target)} has no members", position
            )
        case Pointer():
            raise plan_error(
                "PP084",
                f"{name!r}: the type that this pointer points to is not known",
                position,
                'name the type: cast(p, "struct NAME")',
            )
        case Endpoint():
            raise plan_error(
                "PP084",
                f"{name!r}: a kept address has no members",
                position,
                f"keep the member: `let: {{{name}: remote(sk).{name}}}`, and name that",
            )
        case other:
            raise plan_error("PP084", f"{name!r}: a value of type {other} has no members", position)


def _read_member_at(  # noqa: PLR0913  # as read_at, in bits
    btf: Btf, base: Node, space: Space, bit_offset: int, bit_size: int, type_id: int
) -> Node | None:
    """Reads use the integer that contains a bitfield, aligned to its size, as the compiler laid it
    out; a bitfield that straddles its aligned integer is read by the bytes from its start."""
    if not bit_size:
        return read_at(btf, base, bit_offset // 8, type_id, space)
    width = btf.type(type_id).size * 8
    start = bit_offset // width * width
    if bit_offset - start + bit_size > width:
        start = bit_offset // 8 * 8
    return read_at(btf, base, start // 8, type_id, space, (bit_offset - start, bit_size))


# ---------------------------------------------------------------- spelled types

_C_NAMES: Mapping[str, Type] = {
    **INTEGERS,
    "bool": BOOL,
    "duration": DURATION,
    "char": Int(8, True),
    "short": Int(16, True),
    "int": S32,
    "unsigned int": Int(32, False),
    "unsigned": Int(32, False),
    "long": S64,
    "unsigned long": U64,
    "long long": S64,
    "unsigned long long": U64,
    "size_t": U64,
    "ssize_t": S64,
    "pid_t": S32,
    "uid_t": Int(32, False),
}


def parse_type(facts: KernelFacts, text: str, space: Space, position: Position) -> Type:
    """The type that a plan spells: `u32`, `int`, `pointer`, `char *`, `struct file *`."""
    words = " ".join(text.replace("*", " * ").split()).removeprefix("const ")
    if words in _C_NAMES:
        return _C_NAMES[words]
    if words in ("pointer", "void *"):
        return Pointer(space)
    if words in ("char *", "unsigned char *"):
        return Pointer(space)
    name = words.removesuffix(" *")
    if words.endswith(" *") and name.startswith(("struct ", "union ")):
        return Pointer(space, find_struct(facts, name, position))
    raise plan_error(
        "PP084",
        f"the type {text!r} is not known",
        position,
        "write u8 … u64, s8 … s64, bool, a C integer type, pointer, `char *` or `struct NAME *`",
    )


def find_struct(facts: KernelFacts, name: str, position: Position) -> int:
    """The BTF id of `struct NAME` or `NAME`. Raises PlanError."""
    type_id = require_btf(facts, position, f"{name!r} needs type information").struct(name)
    if type_id is None:
        raise plan_error("PP082", f"this kernel's BTF has no type {name!r}", position)
    return type_id


# ---------------------------------------------------------------- arguments


class FieldNodes(Mapping[str, Node]):
    """`args.NAME` of a tracepoint. Each node is made on demand: the target of a pointer is looked
    up in BTF, which takes 15 MB and 30 ms to read, and few plans need it."""

    def __init__(self, facts: KernelFacts, fields: tuple[TraceField, ...]) -> None:
        self._facts = facts
        self._fields = {field.name: field for field in fields}

    def __getitem__(self, name: str) -> Node:
        return field_node(self._facts, self._fields[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


def field_node(facts: KernelFacts, field: TraceField) -> Node:
    """A tracepoint's field, with a pointer's struct looked up by its C type where BTF has it."""
    if field.kind == "pointer":
        return Field(
            field,
            Pointer("user" if field.user_pointer else "kernel", _find_pointee(facts, field.ctype)),
        )
    if field.kind in ("string", "data_loc", "rel_loc"):
        return Field(field, Str(field.size if field.kind == "string" else 256))
    if field.kind == "int" and field.value_size in (1, 2, 4, 8):
        return Field(
            field, BOOL if field.ctype == "bool" else Int(field.value_size * 8, field.value_signed)
        )
    return Field(field, Array("kernel", 0, field.count))


def _find_pointee(facts: KernelFacts, ctype: str) -> int:
    name = ctype.replace("const ", "").replace("*", "").strip()
    if not name.startswith(("struct ", "union ")) or facts.btf is None:
        return 0
    return facts.btf.struct(name) or 0


def argument_nodes(
    facts: KernelFacts, params: tuple[tuple[str, int], ...], raw: bool, space: Space = "kernel"
) -> dict[str, Node]:
    """`args.NAME` of a function or raw tracepoint from (name, BTF type id) pairs; nameless ones
    and those that no register holds are left out."""
    assert facts.btf is not None
    nodes: dict[str, Node] = {}
    for index, (name, type_id) in enumerate(params):
        kind = register_type(facts.btf, type_id, space)
        if name and kind is not None:
            nodes[name] = RawArg(index, kind, name) if raw else Register(index, kind, name)
    return nodes
