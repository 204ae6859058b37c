"""The arguments of a program's functions, and the structures that they lead to, by the program's
debug information."""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from orchestrator.binaries import debug_info
from orchestrator.binaries.debug_info import DebugInfo
from orchestrator.compile.own_types.table import OwnTypes
from orchestrator.kernel.abi.file_identity import FileIdentity
from orchestrator.kernel.btf_types import BtfMember

__all__ = ["ProgramArguments", "argument_types"]

_VOID = 0
#: Names that a plan can spell. Others may be anything, and go nowhere.
_PLAIN = re.compile(r"[A-Za-z_]\w{0,127}", re.ASCII)
_REGISTERS = 6  # x86-64 System V ABI; arm64 has eight

#: By name, the register of an argument, from 0, and the id of its type in a table.
ProgramArguments = Mapping[str, tuple[int, int]]


def argument_types(
    table: OwnTypes, path: str, identity: FileIdentity | None, symbol: str, address: int
) -> ProgramArguments:
    """The arguments of the function at `address` of a file, by name; empty where nothing is known
    of them. `identity`: which file it is. What is wrong in the debug information makes it
    unknown."""
    try:
        info = _open_info(path, identity)
        found = info.arguments_of(symbol, address) if info is not None else ()
        types = _ProgramTypes(table)
        return {
            one.name: (one.register, types.id_of(one.type))
            for one in found
            if _PLAIN.fullmatch(one.name) and one.register < _REGISTERS
        }
    except Exception:  # pyelftools raises anything for damaged debug information
        return {}


@lru_cache(maxsize=8)
def _open_info(path: str, _identity: FileIdentity | None) -> DebugInfo | None:
    """Kept by the file's identity, since a path may lead to another file later."""
    return debug_info.find_debug_info(Path(path))


class _ProgramTypes:
    """The types of one file, added to a table when they are asked for, each once."""

    def __init__(self, table: OwnTypes) -> None:
        self._table = table
        self._ids: dict[int, int] = {}

    def id_of(self, entry: Any) -> int:
        """The id of a type by its entry; None is void."""
        if entry is None:
            return _VOID
        if entry.offset not in self._ids:
            self._ids[entry.offset] = self._add(entry)
        return self._ids[entry.offset]

    def _add(self, entry: Any) -> int:
        known = debug_info.describe_type(entry)
        match known.kind:
            case "pointer":
                return self._table.pointer_to(self.id_of(debug_info.target_of(entry)))
            case "array":
                made = self.id_of(debug_info.target_of(entry))
                for count in reversed(known.counts):
                    made = self._table.array_of(made, count)
                return made
            case "struct" | "union":
                name = known.name if _PLAIN.fullmatch(known.name) else ""
                return self._table.add_unlisted(name, known.size, _ProgramMembers(entry, self))
            case "void":
                return _VOID
            case kind:
                return self._table.scalar(kind, kind, known.size, known.signed)


class _ProgramMembers(Mapping[str, BtfMember]):
    """The members of a structure, read when the first of them is asked for."""

    def __init__(self, entry: Any, types: _ProgramTypes) -> None:
        self._entry, self._types = entry, types

    @cached_property
    def _found(self) -> Mapping[str, debug_info.DebugMember]:
        try:
            found = debug_info.members_of(self._entry)
            return {one.name: one for one in found if _PLAIN.fullmatch(one.name)}
        except Exception:  # as above
            return {}

    def __getitem__(self, name: str) -> BtfMember:
        one = self._found[name]
        try:
            type_id = self._types.id_of(one.type)
        except Exception:  # as above
            raise KeyError(name) from None
        return BtfMember(
            name=name, bit_offset=one.bit_offset, bit_size=one.bit_size, type_id=type_id
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)
