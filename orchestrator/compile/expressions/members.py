"""Values in memory: from a BTF type and an address to the node that reads it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from orchestrator.compile.expressions.nodes import Address, Field, Load, Node, RawArg, Register
from orchestrator.compile.expressions.types import (
    BOOL,
    DURATION,
    Array,
    Bool,
    Endpoint,
    Int,
    Pointer,
    Space,
    Str,
    Struct,
    Type,
    with_space,
)
from orchestrator.kernel.btf import Btf
from orchestrator.kernel.btf_types import (
    OWN_TYPES,
    BtfMember,
    BtfType,
    TypeLookupError,
    TypeTable,
)
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.trace.number_names import NumberNames
from orchestrator.kernel.tracepoints import TraceField
from orchestrator.plan.expression.names import C_NUMBERS
from orchestrator.plan.findings import Position, plan_error
from orchestrator.plan.nearest import suggest_or_list

#: Where a program's debug information does not say which structure is meant.
_DECLARE = "declare the one that is meant under `types`, with the offsets of its members"


def require_btf(facts: KernelFacts, position: Position, why: str) -> Btf:
    """The kernel's BTF. Raises PlanError PP083, with `why`, where there is none that can be
    read."""
    if facts.btf is None:
        unread = facts.why_no_types
        raise plan_error(
            "PP083",
            f"{why}, and {unread}" if unread else f"{why}, and this kernel has no BTF",
            position,
            "give this process what it needs to read the types"
            if unread
            else "use a kernel with CONFIG_DEBUG_INFO_BTF, or a tracepoint whose fields need no "
            "types",
        )
    return facts.btf


def require_table(facts: KernelFacts, type_id: int, position: Position, why: str) -> TypeTable:
    """The table that has the type of an id, 0 for none: the kernel's, or that of the plan's own
    types. Raises PlanError PP083."""
    table = facts.table_of(type_id)
    return table if table is not None else require_btf(facts, position, why)


def scalar_type(kind: BtfType, btf: TypeTable, type_id: int, space: Space) -> Type | None:
    """The type of a value that fits a register; None for structs, arrays, floats and the like. A
    number in user memory, if it is an address, is one of user memory."""
    if kind.kind in ("int", "char", "enum") and kind.size in (1, 2, 4, 8):
        names = NumberNames(kind="enum", type_id=kind.id) if kind.kind == "enum" else None
        return _mark_user(Int(kind.size * 8, kind.signed, names=names), space)
    if kind.kind == "bool":
        return BOOL
    if kind.kind == "pointer":
        return Pointer("user" if btf.is_user_pointer(type_id) else space, kind.target)
    return None


def _mark_user(kind: Type, space: Space) -> Type:
    return with_space(kind, "user") if space == "user" else kind


def register_type(btf: Btf, type_id: int, space: Space = "kernel") -> Type | None:
    """The type of an argument or return value; None for what is passed in another way."""
    return scalar_type(btf.type(type_id), btf, type_id, space)


def read_at(  # noqa: PLR0913  # a place in memory has this many coordinates
    btf: TypeTable,
    base: Node,
    offset: int,
    type_id: int,
    space: Space,
    bits: tuple[int, int] = (0, 0),
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
    why = f"the member {name!r} needs type information"
    btf = require_table(facts, _aggregate_of(base.type), position, why)
    owner, space = _find_owner(btf, base, name, position)
    btf_member = _find_member(facts, btf, owner, name, position)
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
    assert isinstance(node, Load | Address)
    node = replace(node, member=f"{owner.name or owner.kind}.{name}")
    holds = _USER_ADDRESSES.get(owner.name, ()) if owner.id < OWN_TYPES else ()
    return _point_to_user(node) if name in holds or "" in holds else node


def _aggregate_of(kind: Type) -> int:
    """The id of the structure that a value is, or that it points to; 0 where it is none."""
    match kind:
        case Struct(type_id=type_id) | Pointer(target=type_id):
            return type_id
        case _:
            return 0


def _find_member(
    facts: KernelFacts, table: TypeTable, owner: BtfType, name: str, position: Position
) -> BtfMember:
    """Raises PlanError for a name that a structure lacks: of the kernel's the kernel decides, of a
    program's its file, of the plan's own the plan."""
    try:
        found = table.member(owner.id, name)
    except TypeLookupError as error:
        raise plan_error("PP082", str(error), position, _DECLARE) from None
    if found is not None:
        return found
    own = facts.own_types
    is_own = owner.id >= OWN_TYPES
    where = "" if is_own else " on this kernel"
    raise plan_error(
        "PP084" if own is not None and own.declares(owner.id) else "PP082",
        f"{owner.kind} {owner.name or '(nameless)'} has no member {name!r}{where}",
        position,
        suggest_or_list(name, table.member_names(owner.id)),
    )


#: Members of kernel structures that are addresses of user memory, though no type says so: "" for
#: all. A struct pt_regs that a plan can reach is nearly always a program's (system calls).
_USER_ADDRESSES: Mapping[str, tuple[str, ...]] = {
    "pt_regs": ("",),
    "mm_struct": (
        "arg_start",
        "arg_end",
        "env_start",
        "env_end",
        "start_stack",
        "start_brk",
        "brk",
    ),
    "vm_area_struct": ("vm_start", "vm_end"),
    "iovec": ("iov_base",),
    "user_msghdr": ("msg_name", "msg_iov", "msg_control"),
}


def _point_to_user(node: Node) -> Node:
    """A value in kernel memory that is an address of user memory."""
    match node:
        case Load(type=Pointer(target=target)):
            return replace(node, type=Pointer("user", target))
        case Load(type=kind):
            return replace(node, type=with_space(kind, "user"))
        case _:
            return node


def _find_owner(btf: TypeTable, base: Node, name: str, position: Position) -> tuple[BtfType, Space]:
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
    btf: TypeTable, base: Node, space: Space, bit_offset: int, bit_size: int, type_id: int
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

_VOID = 0

_C_NAMES: Mapping[str, Int | Bool] = {
    **{name: Int(bits, signed) for name, (bits, signed) in C_NUMBERS.items()},
    "bool": BOOL,
    "duration": DURATION,
}


def _normalize_type(text: str) -> str:
    return " ".join(text.replace("*", " * ").split()).removeprefix("const ")


def find_number_type(text: str) -> Int | Bool | None:
    """The number or bool that a plan spells: `u32`, `unsigned long`; None for other types."""
    return _C_NAMES.get(_normalize_type(text))


def is_bare_pointer(text: str) -> bool:
    """Whether a plan spells a pointer to nothing in particular, or to characters."""
    return _normalize_type(text) in ("pointer", "void *", "char *", "unsigned char *")


def parse_type(facts: KernelFacts, text: str, space: Space, position: Position) -> Type:
    """The type that a plan spells: `u32`, `int`, `pointer`, `char *`, `struct file *`. Pointers
    are `assumed`, and into `space`; numbers of user memory are marked as such."""
    number = find_number_type(text)
    if number is not None:
        return _mark_user(number, space)
    if is_bare_pointer(text):
        return Pointer(space, assumed=True)
    if _normalize_type(text).endswith(" *"):
        return Pointer(space, find_pointee(facts, text, position), assumed=True)
    raise plan_error(
        "PP084",
        f"the type {text!r} is not known",
        position,
        "write u8 … u64, s8 … s64, bool, a C integer type, pointer, `char *`, `struct NAME *` or "
        "`NAME *` of a structure under `types`",
    )


def find_pointee(facts: KernelFacts, text: str, position: Position) -> int:
    """The id of what a spelled pointer leads to: `u32 *`, `foo *`, `struct file *`, `foo **`; the
    last `*` may be missing. Raises PlanError."""
    words = _normalize_type(text)
    name = words.rstrip(" *")
    deeper = words.removesuffix(" *").count("*")
    own = facts.own_types
    target = own.number(name) if own is not None else None
    if target is None:
        is_void = deeper > 0 and name in ("void", "pointer")
        target = _VOID if is_void else find_struct(facts, name, position)
    for _ in range(deeper):
        if own is None:
            raise plan_error("PP084", f"the type {text!r} is not known", position, "use pointer")
        target = own.pointer_to(target)
    return target


def find_struct(facts: KernelFacts, name: str, position: Position) -> int:
    """The id of `struct NAME` of the kernel, or of `NAME`, which the plan's own types and those of
    the probe's program go before. Raises PlanError."""
    own = facts.own_types
    try:
        known = own.struct(name) if own is not None else None
    except TypeLookupError as error:
        raise plan_error("PP082", str(error), position, _DECLARE) from None
    if known is not None:
        return known
    type_id = require_btf(facts, position, f"{name!r} needs type information").struct(name)
    if type_id is None:
        hint = own.explain_missing(name) if own is not None else ""
        raise plan_error("PP082", f"this kernel's BTF has no type {name!r}", position, hint)
    return type_id


# ---------------------------------------------------------------- arguments


class FieldNodes(Mapping[str, Node]):
    """`args.NAME` of a tracepoint, whose numbers are addresses in `space`, if they are addresses.
    Each node is made on demand: the target of a pointer is looked up in BTF, which takes 15 MB and
    30 ms to read, and few plans need it."""

    def __init__(
        self, facts: KernelFacts, fields: tuple[TraceField, ...], space: Space = "kernel"
    ) -> None:
        self._facts, self._space = facts, space
        self._fields = {field.name: field for field in fields}

    def __getitem__(self, name: str) -> Node:
        return field_node(self._facts, self._fields[name], self._space)

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


def field_node(facts: KernelFacts, field: TraceField, space: Space = "kernel") -> Node:
    """A tracepoint's field, with a pointer's struct looked up by its C type where BTF has it."""
    if field.kind == "pointer":
        return Field(
            field,
            Pointer("user" if field.user_pointer else "kernel", _find_pointee(facts, field.ctype)),
        )
    if field.kind in ("string", "data_loc", "rel_loc"):
        return Field(field, Str(field.size if field.kind == "string" else 256))
    if field.kind == "int" and field.value_size in (1, 2, 4, 8):
        number = _mark_user(Int(field.value_size * 8, field.value_signed, names=field.names), space)
        return Field(field, BOOL if field.ctype == "bool" else number)
    return Field(field, Array(space, 0, field.count))  # its numbers, if they are addresses


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
