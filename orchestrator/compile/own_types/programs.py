"""The functions and structures of a program, by its debug information, as types of a table."""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from orchestrator.binaries.debug_info import entries
from orchestrator.binaries.debug_info.entries import DebugMember, TooLargeError
from orchestrator.binaries.debug_info.files import find_debug_info
from orchestrator.binaries.debug_info.units import DebugFunction, DebugInfo, DebugStruct
from orchestrator.compile.own_types.table import OwnTypes
from orchestrator.kernel.abi.file_identity import FileIdentity
from orchestrator.kernel.btf_types import BtfMember, TypeLookupError
from orchestrator.values import dataclass

__all__ = ["DescribedCode", "FunctionTypes", "ProgramCode", "describe_code"]

_VOID = 0
#: Names that a plan can spell. Others may be anything, and go nowhere.
_PLAIN = re.compile(r"[A-Za-z_]\w{0,127}", re.ASCII)
_REGISTERS = 6  # x86-64 System V ABI; arm64 has eight


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramCode:
    """A place in a program: its file, which file that is, the function's name ("" where none is
    known) and the address as linked."""

    path: str
    identity: FileIdentity | None
    symbol: str
    address: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionTypes:
    """What is known of a function: by name, the register of an argument, from 0, and the id of its
    type; and the id of the type that it returns, 0 for void."""

    arguments: Mapping[str, tuple[int, int]]
    returns: int


def describe_code(table: OwnTypes, code: ProgramCode) -> "DescribedCode":
    """What the debug information says of a place. Nothing is read before it is asked for: that
    takes up to a second, and most plans need none of it."""
    file = (code.path, code.identity)
    program = table.once(("program", file), lambda: _ProgramFile(table, *file))
    return table.once(("code", code), lambda: DescribedCode(program, code))


@lru_cache(maxsize=8)
def _open_info(path: str, _identity: FileIdentity | None) -> DebugInfo | None:
    """Kept by the file's identity, since a path may lead to another file later."""
    return find_debug_info(Path(path))


class DescribedCode:
    """A place in a program, described. What is wrong in the debug information makes it unknown:
    pyelftools raises anything for what is damaged."""

    def __init__(self, program: "_ProgramFile", code: ProgramCode) -> None:
        self._program, self._code = program, code

    @cached_property
    def function(self) -> FunctionTypes | None:
        """The function that begins here; None where nothing is known of it."""
        try:
            return self._describe(self._found) if self._found is not None else None
        except Exception:  # as above
            return None

    def _describe(self, found: DebugFunction) -> FunctionTypes:
        types = self._program.types
        return FunctionTypes(
            arguments={
                one.name: (one.register, types.id_of(one.type))
                for one in found.arguments
                if _PLAIN.fullmatch(one.name) and one.register < _REGISTERS
            },
            returns=types.id_of(found.returns),
        )

    @cached_property
    def _found(self) -> DebugFunction | None:
        info, code = self._program.info, self._code
        try:
            return info.find_function(code.symbol, code.address) if info is not None else None
        except Exception:  # as above
            return None

    # -- as a finder of structures -------------------------------------------------------------

    def find_struct(self, name: str, /) -> int | None:
        """The structure that the source means by this name here, or in the rest of the program.
        Raises TypeLookupError where it has two that differ, or is too large to look at."""
        return self._program.find_struct(name, self._unit)

    @cached_property
    def _unit(self) -> Any:
        info = self._program.info
        if self._found is not None or info is None:
            return self._found.unit if self._found is not None else None
        try:
            return info.find_unit(self._code.address)
        except Exception:  # as above
            return None

    def explain_missing(self, name: str, /) -> str:
        """What to do where the program has no structure of this name."""
        path = self._code.path
        bare = name.rpartition(" ")[2]
        if bare != name and self._has(bare):
            return f"{path} has one: write {bare!r}, without {name.split(' ', 1)[0]!r}"
        spell = "declare it under `types`, with the offsets of its members"
        if self._program.info is not None:
            return f"the debug information of {path} has none, either: {spell}"
        return (
            f"install the debug package of {path}, and pyelftools to read it, and write {bare!r}; "
            f"or {spell}"
        )

    def _has(self, name: str) -> bool:
        try:
            return self.find_struct(name) is not None
        except TypeLookupError:
            return True


class _ProgramFile:
    """The types of one file in a table."""

    def __init__(self, table: OwnTypes, path: str, identity: FileIdentity | None) -> None:
        self._path, self._identity = path, identity
        self.types = _ProgramTypes(table, self)

    @cached_property
    def info(self) -> DebugInfo | None:
        """The debug information; None: there is none that can be read."""
        return _open_info(self._path, self._identity) if self._identity is not None else None

    def find_struct(self, name: str, unit: Any = None) -> int | None:
        """The id of a structure, as the unit (None: no particular one) has it, else any. Raises
        TypeLookupError."""
        found = self._search(name, unit)
        try:
            return self.types.id_of(found) if found is not None else None
        except Exception:  # as above
            return None

    def define(self, name: str) -> Any:
        """The entry of a structure that is only declared where it is used; None where it is nowhere
        described. Raises TypeLookupError."""
        return self._search(name, None)

    def _search(self, name: str, unit: Any) -> Any:
        if self.info is None or not _PLAIN.fullmatch(name):
            return None
        try:
            found = self.info.find_structs(name, unit)
        except (TooLargeError, RecursionError):
            message = f"the debug information of {self._path} is too large to find {name!r} in it"
            raise TypeLookupError(message) from None
        except Exception:  # as above
            return None
        if len(found) > 1:
            raise TypeLookupError(_explain_two(self._path, name, *found))
        return found[0].entry if found else None


def _explain_two(path: str, name: str, first: DebugStruct, second: DebugStruct) -> str:
    places = [
        f"one of {entries.describe_type(one.entry).size} bytes in {_show_source(one.source)}"
        for one in (first, second)
    ]
    return f"{path} has different structures {name!r}: {' and '.join(places)}"


def _show_source(source: str) -> str:
    """A file's name as the compiler wrote it, which is anything."""
    name = source.rpartition("/")[2][:80]
    return name if name.isprintable() and name else "a source file"


class _ProgramTypes:
    """The types of one file, added to a table when they are asked for, each once."""

    def __init__(self, table: OwnTypes, program: _ProgramFile) -> None:
        self._table, self._program = table, program
        self._ids: dict[int, int] = {}

    def id_of(self, entry: Any) -> int:
        """The id of a type by its entry; None is void."""
        if entry is None:
            return _VOID
        if entry.offset not in self._ids:
            self._ids[entry.offset] = self._add(entry)
        return self._ids[entry.offset]

    def _add(self, entry: Any) -> int:
        known = entries.describe_type(entry)
        name = known.name if _PLAIN.fullmatch(known.name) else ""
        match known.kind:
            case "pointer":
                return self._table.pointer_to(self.id_of(entries.target_of(entry)))
            case "array":
                made = self.id_of(entries.target_of(entry))
                for count in reversed(known.counts):
                    made = self._table.array_of(made, count)
                return made
            case "struct" | "union":
                members = _ProgramMembers(entry, self, self._program)
                return self._table.add_unlisted(name, known.size, members)
            case "enum":
                names = tuple(n for n in entries.enumerators_of(entry) if _PLAIN.fullmatch(n[0]))
                return self._table.add_enum(name, known.size, known.signed, names)
            case "void":
                return _VOID
            case kind:
                return self._table.scalar(kind, kind, known.size, known.signed)


class _ProgramMembers(Mapping[str, BtfMember]):
    """The members of a structure, read when the first of them is asked for."""

    def __init__(self, entry: Any, types: _ProgramTypes, program: _ProgramFile) -> None:
        self._entry, self._types, self._program = entry, types, program

    @cached_property
    def _found(self) -> Mapping[str, DebugMember]:
        try:
            found = entries.members_of(self._defined)
            return {one.name: one for one in found if _PLAIN.fullmatch(one.name)}
        except TypeLookupError:
            raise
        except Exception:  # as above
            return {}

    @property
    def _defined(self) -> Any:
        """The entry that has the members: a program that passes a structure on may know its name
        alone."""
        if "DW_AT_declaration" not in self._entry.attributes:
            return self._entry
        name = entries.text_of(self._entry, "DW_AT_name")
        return self._program.define(name) or self._entry

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
