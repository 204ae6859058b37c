"""The values read from a BTF blob, and the error of reading it."""

from typing import Literal, Protocol

from orchestrator.values import dataclass

TypeKind = Literal[
    "void",
    "int",
    "bool",
    "char",
    "enum",
    "pointer",
    "struct",
    "union",
    "array",
    "function",
    "float",
    "fwd",
]


class BtfError(ValueError):
    """The bytes are not BTF that we can read; the text says where and why."""


class TypeLookupError(ValueError):
    """A name for which a table cannot say which type is meant; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BtfParam:
    """One parameter of a function; `name` is "" where the kernel does not record it."""

    name: str
    type_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionType:
    """A function's signature.

    `btf_id` is the id that attaching needs: the FUNC's for a function (fentry), the
    `btf_trace_EVENT` typedef's for a raw tracepoint, where 0 means that there is none.
    `ambiguous`: the kernel has several functions of this name with different signatures, and
    this is the first. `module`: the module whose it is, "" for the kernel's own.
    """

    btf_id: int
    name: str
    params: tuple[BtfParam, ...]
    returns: int
    ambiguous: bool = False
    module: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BtfType:
    """A type with its typedefs and qualifiers stripped; sizes are in bytes.

    `target` is the type id of the pointee or of the element, 0 (void) otherwise; `count` is the
    number of an array's elements; `name` is "" for the nameless.
    """

    id: int
    kind: TypeKind
    name: str
    size: int
    signed: bool = False
    target: int = 0
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BtfMember:
    """A member, with its offset from the start of the type that was asked, in bits.

    `bit_size` is 0 unless the member is a bit-field. Offsets count bits as BTF does on a
    little-endian machine: bit n is bit n % 8 of byte n // 8.
    """

    name: str
    bit_offset: int
    bit_size: int
    type_id: int


#: Ids from here on are of types that are not the kernel's: of a plan or a program.
OWN_TYPES = 1 << 48


class TypeTable(Protocol):
    """Types by their ids, as Btf has them."""

    def type(self, type_id: int, /) -> BtfType:
        """The type behind typedefs and qualifiers."""

    def member(self, type_id: int, name: str, /) -> BtfMember | None:
        """A member of a struct or union, also of anonymous ones in it; None: it has none. Raises
        TypeLookupError where it is not known which structure is meant."""

    def member_names(self, type_id: int, /) -> tuple[str, ...]:
        """All names that `member` would find, in order of declaration."""

    def enumerators(self, type_id: int, /) -> tuple[tuple[str, int], ...]:
        """The names of an enum and their values; () for other types."""

    def is_user_pointer(self, type_id: int, /) -> bool:
        """Whether the type is a pointer tagged `user`."""

    def type_name(self, type_id: int, /) -> str:
        """The type as C would spell it, for messages."""


class OwnTypeTable(TypeTable, Protocol):
    """A table with types that are not the kernel's, in addition to those."""

    def struct(self, name: str, /) -> int | None:
        """The id of a structure that is not the kernel's, by its name alone. Raises
        TypeLookupError."""

    def declares(self, type_id: int, /) -> bool:
        """Whether it is a structure of the plan's, and not of a program."""

    def explain_missing(self, name: str, /) -> str:
        """What to do where there is no structure of that name."""

    def number(self, name: str, /) -> int | None:
        """The id of a number of C, bool or char, by the name that plans give it."""

    def pointer_to(self, type_id: int, /) -> int:
        """The id of the pointer to a type."""
