"""Types of expressions, as the compiler sees them (language, rule 7)."""

from dataclasses import field, replace
from typing import Literal

from orchestrator.kernel.trace.number_names import NumberNames
from orchestrator.plan.expression.names import COMM_BYTES
from orchestrator.values import dataclass

Space = Literal["kernel", "user"]
#: Of which memory a number is an address, should it be read through: "" where nothing says so,
#: which means the kernel's; "both" where it is made of addresses of either.
NumberSpace = Literal["", "kernel", "user", "both"]


@dataclass(frozen=True, slots=True)
class Int:
    """An integer of C: `bits` 8, 16, 32 or 64. `unit` says what a number of it counts:
    a duration (ns), bytes, or nothing in particular; "any" where only a kernel can say. `space`
    follows numbers of 64 bits through arithmetic and definitions (language, rule 8); types that
    differ by it alone are equal. `names` says how the kernel calls the values, and is lost where
    another number is computed of them."""

    bits: int
    signed: bool
    unit: Literal["", "duration", "bytes", "any"] = ""
    space: NumberSpace = field(default="", compare=False)
    names: NumberNames | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The name without the unit: `u32`, `s64`."""
        return f"{'s' if self.signed else 'u'}{self.bits}"

    def __str__(self) -> str:
        return self.unit or self.name


@dataclass(frozen=True, slots=True)
class Bool:
    """True or false; one byte in records."""

    def __str__(self) -> str:
        return "bool"


@dataclass(frozen=True, slots=True)
class Str:
    """A string of at most `size` bytes, the closing NUL included."""

    size: int

    def __str__(self) -> str:
        return f"string[{self.size}]"


@dataclass(frozen=True, slots=True)
class Ip:
    """An IP address in network byte order: version 4 (4 bytes), 6 (16 bytes) or, where each event
    has its version, 0: the version as a 32-bit word, then 16 bytes and 4 unused."""

    version: Literal[0, 4, 6]

    def __str__(self) -> str:
        return f"ipv{self.version}" if self.version else "ip"


@dataclass(frozen=True, slots=True)
class Buffer:
    """At most `size` bytes of memory: their number as a 32-bit word, then the bytes. `text`: they
    are shown as text, and not in hexadecimal."""

    size: int
    text: bool = False

    def __str__(self) -> str:
        return f"{'text' if self.text else 'bytes'}[{self.size}]"


@dataclass(frozen=True, slots=True)
class StringList:
    """Several strings in at most `size` bytes, their NULs included, after a 32-bit word with the
    number of bytes used. `PIECE` more bytes leave space to read the last piece into."""

    size: int

    def __str__(self) -> str:
        return f"strings[{self.size}]"


@dataclass(frozen=True, slots=True)
class KernelPath:
    """The names of a path, from its end to its root, laid out as StringList; the highest bit of the
    word is set when the root was reached (`ROOTED`)."""

    size: int

    def __str__(self) -> str:
        return f"path[{self.size}]"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address of a socket: its family and port as 16-bit words in host order, then `size` bytes
    of address: 16 for IP, more where it may be the path of a Unix socket."""

    size: int

    def __str__(self) -> str:
        return "endpoint"


@dataclass(frozen=True, slots=True)
class PacketValue:
    """A packet in the kernel, of which only members can be read."""

    def __str__(self) -> str:
        return "packet"


@dataclass(frozen=True, slots=True)
class StackId:
    """The id of a stack, 64 bits, under which its addresses are kept; 0: it was lost. `single`: it
    stands for one address, which is kept with its process as a stack is."""

    space: Space
    single: bool = False

    def __str__(self) -> str:
        return f"{self.space} {'symbol' if self.single else 'stack'}"


@dataclass(frozen=True, slots=True)
class Pointer:
    """A pointer into kernel or user memory; `target` is the BTF id of what it points to, 0 when
    that is unknown or void. `assumed`: only the plan says so, and no type of the kernel."""

    space: Space
    target: int = 0
    assumed: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return f"{self.space} pointer"


@dataclass(frozen=True, slots=True)
class Struct:
    """A struct or union in memory, named but not read: only its members can be read."""

    space: Space
    type_id: int

    def __str__(self) -> str:
        return "struct"


@dataclass(frozen=True, slots=True)
class Array:
    """An array in memory of which only `char[]` can be read (as a string) or an address taken."""

    space: Space
    element: int
    count: int

    def __str__(self) -> str:
        return "array"


@dataclass(frozen=True, slots=True)
class Tuple:
    """A tuple of values; only keys may be tuples."""

    items: tuple["Type", ...]

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.items))})"


@dataclass(frozen=True, slots=True)
class UnknownType:
    """A type that only a kernel can say, where a plan is checked without one; no program has it.
    `plain`: it is as kernels have them, so that a number of it counts nothing in particular.
    `scalar`: it is that of a register, so that it is no text."""

    plain: bool = True
    scalar: bool = False

    def __str__(self) -> str:
        return "number or pointer" if self.scalar else "value of unknown type"


Type = (
    Int
    | Bool
    | Str
    | Ip
    | Buffer
    | StringList
    | KernelPath
    | Endpoint
    | PacketValue
    | StackId
    | Pointer
    | Struct
    | Array
    | Tuple
    | UnknownType
)
#: Values that are read directly into memory, and never held in a register.
Stored = Str | Ip | Buffer | StringList | KernelPath | Endpoint
#: Values that may be truncated, and are then marked as such.
Cut = Str | Buffer | StringList | KernelPath

COMM_SIZE = COMM_BYTES + 1  # bytes of a task's name with its NUL
PIECE = 32  # bytes of a string that are read at once: the NUL of a shorter one ends it
ROOTED = 1 << 31

U8, U16, U32, U64 = (Int(bits, False) for bits in (8, 16, 32, 64))
S8, S16, S32, S64 = (Int(bits, True) for bits in (8, 16, 32, 64))
DURATION = Int(64, False, "duration")
BYTES = Int(64, False, "bytes")
BOOL = Bool()

INTEGERS = {t.name: t for t in (U8, U16, U32, U64, S8, S16, S32, S64)}


def size_of(kind: Type) -> int:
    """Bytes that a value of this type takes in a record or key."""
    match kind:
        case Int(bits=bits):
            return bits // 8
        case Bool():
            return 1
        case Str(size=size):
            return size
        case Ip(version=version):
            return {0: 24, 4: 4, 6: 16}[version]
        case Buffer(size=size) | Endpoint(size=size):
            return -(-(4 + size) // 8) * 8
        case StringList(size=size) | KernelPath(size=size):
            return -(-(4 + size + PIECE) // 8) * 8
        case Tuple(items=items):
            return sum(map(size_of, items))
        case _:
            return 8


def space_of(kind: Type) -> NumberSpace:
    """Of which memory a value of this type is an address."""
    return kind.space if isinstance(kind, Pointer | Int) else ""


def with_space(kind: Type, *spaces: NumberSpace) -> Type:
    """`kind` as the type of a number made of addresses in `spaces`. Only 64 bits hold an address,
    and a pointer's type has a space already."""
    if not isinstance(kind, Int) or kind.bits != 64:
        return kind
    named = {space for space in spaces if space}
    return replace(kind, space="both" if len(named) > 1 else next(iter(named), ""))


def promote_types(left: Int, right: Int) -> Int:
    """The common type of two integers by C's usual arithmetic conversions (C11 6.3.1.8): at least
    32 bits, the wider wins, at equal width unsigned wins. The unit is set by the caller."""
    spaces = left.space, right.space
    left, right = (i if i.bits >= 32 else Int(32, True) for i in (left, right))
    if left.bits != right.bits:
        wider = left if left.bits > right.bits else right
        common = Int(wider.bits, wider.signed)
    else:
        common = Int(left.bits, left.signed and right.signed)
    marked = with_space(common, *spaces)
    assert isinstance(marked, Int)
    return marked


def wrap_integer(value: int, kind: Int) -> int:
    """`value` reduced to the range of `kind`, as two's complement hardware does."""
    value &= (1 << kind.bits) - 1
    return value - (1 << kind.bits) if kind.signed and value >> (kind.bits - 1) else value
