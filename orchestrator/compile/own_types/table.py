"""A table of types that are not the kernel's, with ids that are none of the kernel's.

It grows as types are asked for, and answers as Btf does, so that values of its types are typed and
read in the same way.
"""

from collections.abc import Callable, Hashable, Mapping
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import Protocol, TypeVar, cast

from orchestrator.kernel.btf_types import (
    OWN_TYPES,
    BtfMember,
    BtfType,
    TypeKind,
    TypeTable,
)
from orchestrator.plan.expression.names import C_NUMBERS

__all__ = ["OwnTypes", "StructFinder"]

_POINTER_BYTES = 8
_VOID = 0
#: The members of a structure by name, in order; offsets are from its start. It may make each of
#: them when it is asked for: they may lead back to the structure.
StructMembers = Mapping[str, BtfMember]
_Made = TypeVar("_Made")


class StructFinder(Protocol):
    """Where structures are looked for that no plan declares."""

    def find_struct(self, name: str, /) -> int | None:
        """The id of a structure; None where there is none. Raises TypeLookupError."""

    def explain_missing(self, name: str, /) -> str:
        """What to do where there is none."""


class OwnTypes:
    """The types. `kernel` gives the kernel's, for structures that lead to them; it is asked late,
    since reading them takes time."""

    def __init__(self, kernel: Callable[[], TypeTable | None]) -> None:
        self._find_kernel = kernel
        self._types: list[BtfType] = []
        self._by_shape: dict[object, int] = {}
        self._structs: dict[str, int] = {}
        self._members: dict[int, StructMembers] = {}
        self._enumerators: dict[int, tuple[tuple[str, int], ...]] = {}
        self._made: dict[Hashable, object] = {}
        self._finder: StructFinder | None = None

    def seen_from(self, finder: StructFinder) -> "OwnTypes":
        """The same table, where `finder` knows further structures."""
        changed = copy(self)
        changed._finder = finder
        return changed

    def once(self, key: Hashable, make: Callable[[], _Made]) -> _Made:
        """What `make` returned when it was first asked for under this key."""
        if key not in self._made:
            self._made[key] = make()
        return cast("_Made", self._made[key])

    # -- as Btf has it -------------------------------------------------------------------------

    def type(self, type_id: int, /) -> BtfType:
        """The type of an id, the kernel's too."""
        if type_id == _VOID:
            return BtfType(id=_VOID, kind="void", name="", size=0)
        if type_id < OWN_TYPES:
            return self._kernel.type(type_id)
        return self._types[type_id - OWN_TYPES]

    def member(self, type_id: int, name: str, /) -> BtfMember | None:
        """A member of a structure; None: it has none of that name."""
        if type_id < OWN_TYPES:
            return self._kernel.member(type_id, name)
        return self._members.get(type_id, {}).get(name)

    def member_names(self, type_id: int, /) -> tuple[str, ...]:
        """The names of a structure's members, in order."""
        if type_id < OWN_TYPES:
            return self._kernel.member_names(type_id)
        return tuple(self._members.get(type_id, {}))

    def enumerators(self, type_id: int, /) -> tuple[tuple[str, int], ...]:
        """The names of an enum and their values."""
        if type_id < OWN_TYPES:
            return self._kernel.enumerators(type_id)
        return self._enumerators.get(type_id, ())

    def is_user_pointer(self, type_id: int, /) -> bool:
        """Only the kernel's are tagged: the others are of the memory that they are read from."""
        return type_id < OWN_TYPES and self._kernel.is_user_pointer(type_id)

    def type_name(self, type_id: int, /) -> str:
        """The type as a plan spells it, for messages."""
        if type_id == _VOID:
            return "void"
        if type_id < OWN_TYPES:
            return self._kernel.type_name(type_id)
        kind = self.type(type_id)
        match kind.kind:
            case "pointer":
                return f"{self.type_name(kind.target)} *"
            case "array":
                return f"{self.type_name(kind.target)}[{kind.count or ''}]"
            case _:
                return kind.name or kind.kind

    @cached_property
    def _kernel(self) -> TypeTable:
        types = self._find_kernel()
        assert types is not None  # an id of it was given out
        return types

    # -- making types --------------------------------------------------------------------------

    def struct(self, name: str, /) -> int | None:
        """The id of the structure that was added under this name, else of the one that is found;
        None where there is none. Raises TypeLookupError."""
        declared = self._structs.get(name)
        if declared is not None or self._finder is None:
            return declared
        return self._finder.find_struct(name)

    def declares(self, type_id: int, /) -> bool:
        """Whether it is a structure that was added under a name."""
        return type_id in self._structs.values()

    def explain_missing(self, name: str, /) -> str:
        """What to do where there is no structure of that name."""
        if self._finder is not None:
            return self._finder.explain_missing(name)
        return "a structure of a program is declared under `types`, with the offsets of its members"

    def number(self, name: str, /) -> int | None:
        """The id of a number of C, of bool, or of char; None for other names."""
        if name == "bool":
            return self._intern(BtfType(id=0, kind="bool", name=name, size=1))
        if name not in C_NUMBERS:
            return None
        bits, signed = C_NUMBERS[name]
        kind: TypeKind = "char" if name == "char" else "int"
        return self._intern(BtfType(id=0, kind=kind, name=name, size=bits // 8, signed=signed))

    def pointer_to(self, type_id: int, /) -> int:
        """The id of the pointer to a type; 0: void."""
        made = BtfType(id=0, kind="pointer", name="", size=_POINTER_BYTES, target=type_id)
        return self._intern(made)

    def array_of(self, type_id: int, count: int) -> int:
        """The id of an array of so many elements of a type."""
        size = count * self.type(type_id).size
        made = BtfType(id=0, kind="array", name="", size=size, target=type_id, count=count)
        return self._intern(made)

    def add_struct(self, name: str, size: int, members: StructMembers) -> int:
        """A new structure of `size` bytes, which plans can name."""
        self._structs[name] = self.add_unlisted(name, size, members)
        return self._structs[name]

    def add_unlisted(self, name: str, size: int, members: StructMembers) -> int:
        """A new structure or union to which other types lead, and which no plan names."""
        type_id = self._append(BtfType(id=0, kind="struct", name=name, size=size))
        self._members[type_id] = members
        return type_id

    def scalar(self, kind: TypeKind, name: str, size: int, signed: bool) -> int:
        """The id of a number, bool or char of so many bytes."""
        return self._intern(BtfType(id=0, kind=kind, name=name, size=size, signed=signed))

    def add_enum(
        self, name: str, size: int, signed: bool, names: tuple[tuple[str, int], ...]
    ) -> int:
        """A new enum of `size` bytes, with the names of its values."""
        type_id = self._append(BtfType(id=0, kind="enum", name=name, size=size, signed=signed))
        self._enumerators[type_id] = names
        return type_id

    def _intern(self, made: BtfType) -> int:
        if made not in self._by_shape:
            self._by_shape[made] = self._append(made)
        return self._by_shape[made]

    def _append(self, made: BtfType) -> int:
        type_id = OWN_TYPES + len(self._types)
        self._types.append(replace(made, id=type_id))
        return type_id
