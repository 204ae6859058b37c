"""The structures that a plan declares under `types`, as types of a table."""

from collections.abc import Iterator, Mapping
from math import prod

from orchestrator.compile.own_types.table import OwnTypes
from orchestrator.kernel.btf_types import BtfMember
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import plan_error
from orchestrator.plan.model import DeclaredMember, DeclaredStruct, SpelledType

__all__ = ["add_own_types"]

_VOID, _POINTER_BYTES = 0, 8


def add_own_types(facts: KernelFacts, types: Mapping[str, DeclaredStruct]) -> KernelFacts:
    """The facts with the plan's types. Members are looked at when they are first used."""
    table = OwnTypes(lambda: facts.btf)
    declared = _Declared(facts, types, table)
    for struct in types.values():
        table.add_struct(struct.name, declared.size_of(struct), _DeclaredMembers(struct, declared))
    return facts.with_own_types(table)


class _DeclaredMembers(Mapping[str, BtfMember]):
    """The members of a structure, each made when it is asked for: their types may be of a
    structure that is not added yet, or that only a kernel has."""

    def __init__(self, struct: DeclaredStruct, declared: "_Declared") -> None:
        self._struct, self._declared = struct, declared

    def __getitem__(self, name: str) -> BtfMember:
        member = self._struct.members[name]
        type_id = self._declared.resolve(member)
        return BtfMember(name=name, bit_offset=member.at * 8, bit_size=0, type_id=type_id)

    def __iter__(self) -> Iterator[str]:
        return iter(self._struct.members)

    def __len__(self) -> int:
        return len(self._struct.members)


class _Declared:
    """Turns a plan's spelled types into types of a table."""

    def __init__(
        self, facts: KernelFacts, types: Mapping[str, DeclaredStruct], table: OwnTypes
    ) -> None:
        self._facts, self._types, self._table = facts, types, table
        self._sizes: dict[str, tuple[int, int]] = {}

    def resolve(self, member: DeclaredMember) -> int:
        """The id of a member's type. Raises PlanError for one that the kernel lacks."""
        spelled = member.type
        type_id = self._find_base(spelled, member)
        for _ in range(spelled.pointers):
            type_id = self._table.pointer_to(type_id)
        for count in reversed(spelled.counts):
            type_id = self._table.array_of(type_id, count)
        return type_id

    def _find_base(self, spelled: SpelledType, member: DeclaredMember) -> int:
        """The id of what is before `*` and `[N]`. Raises PlanError for a type that the kernel
        lacks."""
        base = spelled.base
        if base == "void":
            return _VOID
        if base == "pointer":
            return self._table.pointer_to(_VOID)
        known = self._table.number("char" if base == "string" else base)
        if known is None:
            known = self._table.struct(base)
        if known is None and self._facts.btf is not None:
            known = self._facts.btf.struct(base)
        if known is None:
            raise plan_error("PP082", f"this kernel's BTF has no type {base!r}", member.position)
        return known

    # -- sizes ---------------------------------------------------------------------------------

    def size_of(self, struct: DeclaredStruct) -> int:
        """Bytes of a structure: as declared, else up to the end of its members, and on to a
        multiple of its alignment."""
        return self._measure_struct(struct)[0]

    def _measure_struct(self, struct: DeclaredStruct) -> tuple[int, int]:
        """Bytes and alignment of a structure."""
        if struct.name not in self._sizes:
            measured = [
                (member.at, *self._measure(member.type)) for member in struct.members.values()
            ]
            align = max((one[2] for one in measured), default=1)
            end = max((at + size for at, size, _ in measured), default=0)
            self._sizes[struct.name] = struct.size or -(-end // align) * align, align
        return self._sizes[struct.name]

    def _measure(self, spelled: SpelledType) -> tuple[int, int]:
        """Bytes and alignment of a member."""
        size, align = self._measure_base(spelled)
        return size * prod(spelled.counts), align

    def _measure_base(self, spelled: SpelledType) -> tuple[int, int]:
        if spelled.pointers or spelled.base == "pointer":
            return _POINTER_BYTES, _POINTER_BYTES
        if spelled.base in self._types:
            return self._measure_struct(self._types[spelled.base])
        number = self._table.number("char" if spelled.base == "string" else spelled.base)
        if number is not None:
            size = self._table.type(number).size
            return size, size
        kernel = self._facts.btf
        found = kernel.struct(spelled.base) if kernel is not None else None
        size = kernel.type(found).size if kernel is not None and found is not None else 0
        return size, _POINTER_BYTES
