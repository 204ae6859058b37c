"""The plan's own structures, from a checked document: members with types and offsets."""

import re
from collections.abc import Mapping
from math import prod

from orchestrator.plan.document.document_paths import DocumentPath
from orchestrator.plan.expression.names import C_NUMBERS
from orchestrator.plan.findings import Position
from orchestrator.plan.model import DeclaredMember, DeclaredStruct, SpelledType
from orchestrator.plan.nearest import suggest_name
from orchestrator.plan.reader import DocumentReader

__all__ = ["MAX_STRUCT", "build_types"]

#: The key with the size of the structure; no member can have the name in C.
SIZE = "sizeof"
#: Bytes of a structure, and so of what an offset can reach.
MAX_STRUCT = 1 << 20
#: What a plan can spell that is neither a number nor a structure.
_OTHERS = ("bool", "string", "pointer", "void")
_MEMBER = re.compile(
    r"(?:const )?(?P<base>[A-Za-z_]\w*(?: [A-Za-z_]\w*){0,2}) ?(?P<stars>(?:\* ?){0,3})"
    r"(?P<counts>(?:\[[1-9][0-9]{0,5}\]){0,4}) at (?P<at>0x[0-9a-f]{1,5}|[0-9]{1,7})",
    re.ASCII,
)


def build_types(reader: DocumentReader) -> dict[str, DeclaredStruct]:
    """The plan's `types`, by name. What is wrong with them is reported to the collector."""
    declared = {name: _build_one(reader, name) for name in reader.get(("types",), {})}
    for struct in declared.values():
        if struct.name in C_NUMBERS or struct.name in _OTHERS:
            message, hint = f"{struct.name!r} is the name of another type", "take another name"
            reader.collector.add("PP058", message, struct.position, hint)
        _check_members(reader, struct, declared)
    return declared


def _build_one(reader: DocumentReader, name: str) -> DeclaredStruct:
    path: DocumentPath = ("types", name)
    members: dict[str, DeclaredMember] = {}
    for key, raw in reader.get(path).items():
        if key != SIZE and (parts := _MEMBER.fullmatch(str(raw))):
            members[key] = _read_member(parts, reader.place((*path, key)))
    size = reader.get((*path, SIZE))
    place = reader.collector.document.key_position(path)
    return DeclaredStruct(name=name, members=members, size=size, position=place)


def _read_member(parts: re.Match[str], place: Position) -> DeclaredMember:
    counts = tuple(map(int, re.findall(r"[0-9]+", parts["counts"])))
    spelled = SpelledType(base=parts["base"], pointers=parts["stars"].count("*"), counts=counts)
    return DeclaredMember(type=spelled, at=int(parts["at"], 0), position=place)


# ---------------------------------------------------------------- what cannot be


def _check_members(
    reader: DocumentReader, struct: DeclaredStruct, declared: Mapping[str, DeclaredStruct]
) -> None:
    for name, member in struct.members.items():
        message, hint, code = _find_fault(name, member, struct, declared)
        if message and not reader.collector.has_refused(("types", struct.name, name)):
            reader.collector.add(code, message, member.position, hint)


def _find_fault(
    name: str,
    member: DeclaredMember,
    struct: DeclaredStruct,
    declared: Mapping[str, DeclaredStruct],
) -> tuple[str, str, str]:
    """What is wrong with a member, what to do, and the code; "" where nothing is."""
    spelled = member.type
    known = spelled.base in declared or spelled.base in C_NUMBERS or spelled.base in _OTHERS
    if not known and not spelled.base.startswith(("struct ", "union ")):
        names = (*declared, *C_NUMBERS, *_OTHERS)
        otherwise = "a number such as u32, string[N], pointer, a structure under `types`, or "
        hint = suggest_name(spelled.base, names, otherwise + "`struct NAME *` of the kernel's")
        return f"unknown type {spelled.base!r}", hint, "PP022"
    if spelled.base == "string" and (spelled.pointers or not spelled.counts):
        return "a string in memory has a size", "write string[N]; a pointer is `char *`", "PP084"
    if spelled.base == "void" and not spelled.pointers:
        return "void is no value", "write `void *` or pointer", "PP084"
    if not spelled.pointers and _embeds(spelled.base, struct.name, declared, set()):
        return f"{struct.name!r} would contain itself", "point to it: `NAME * at N`", "PP025"
    if struct.size is not None and member.at >= struct.size:
        hint = f"`sizeof` says that {struct.name!r} has {struct.size} bytes"
        return f"{name!r} is at {member.at}, behind the end", hint, "PP086"
    if prod(spelled.counts) > MAX_STRUCT:
        return f"{name!r} has too many elements", f"at most {MAX_STRUCT:,}", "PP086"
    if member.at > MAX_STRUCT:
        return f"{name!r} is at {member.at}", f"at most {MAX_STRUCT}", "PP086"
    return "", "", ""


def _embeds(base: str, name: str, declared: Mapping[str, DeclaredStruct], seen: set[str]) -> bool:
    """Whether a value of type `base` has one of the structure `name` in it."""
    if base == name:
        return True
    if base not in declared or base in seen:
        return False
    seen.add(base)
    inner = (one.type for one in declared[base].members.values() if not one.type.pointers)
    return any(_embeds(one.base, name, declared, seen) for one in inner)
