"""Parses a tracepoint's `format` file: the layout of its record.

Source: Documentation/trace/events.rst; the text is made by kernel/trace/trace_events.c
(f_show) and the types by include/trace/stages.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import field, replace
from typing import Literal

from orchestrator.kernel.trace.number_names import NumberNames, parse_printed_names
from orchestrator.values import dataclass

FieldKind = Literal["int", "pointer", "string", "data_loc", "rel_loc", "dynamic", "array"]

_FIELD = re.compile(
    r"^\tfield:(?P<decl>[^;\n]+);\s*offset:(?P<offset>[0-9]{1,9});\s*size:(?P<size>[0-9]{1,9});"
    r"(?:\s*signed:(?P<signed>[01]);)?",
    re.MULTILINE,
)
_DECLARATION = re.compile(r"^(?P<type>.*?)\s*(?P<name>\w+)(?P<array>(?:\[[^\]]*\])*)$", re.DOTALL)
_ATTRIBUTE = re.compile(r"__attribute__\(\((?P<text>[^()]*(?:\([^()]*\))?[^()]*)\)\)\s*")
_PRINT_FORMAT = "\nprint fmt:"
_UNRECORDED = NumberNames(kind="unrecorded")
_ID = re.compile(r"^ID: ([0-9]{1,9})$", re.MULTILINE)

# C types narrower than the register that a syscall record keeps: (bytes, signed).
_NARROW = {
    "int": (4, True),
    "unsigned int": (4, False),
    "unsigned": (4, False),
    "u32": (4, False),
    "__u32": (4, False),
    "__s32": (4, True),
    "pid_t": (4, True),
    "uid_t": (4, False),
    "gid_t": (4, False),
    "qid_t": (4, False),
    "key_t": (4, True),
    "key_serial_t": (4, True),
    "mqd_t": (4, True),
    "clockid_t": (4, True),
    "timer_t": (4, True),
    "rwf_t": (4, True),
    "umode_t": (2, False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceField:
    """One field of a tracepoint's record; offset and sizes in bytes.

    kind: int (also a bool or an enum), pointer, string (`char[N]`), data_loc and rel_loc (a
    string kept elsewhere in the record: u32 of length << 16 | offset, from the record's start or
    from the end of this field), dynamic (the same with other elements than char), array.
    `count` is an array's number of elements, 0 where the record does not fix it.
    `size` and `signed` are the format file's, which filters use. A syscall's arguments are in
    8-byte slots: `value_size` and `value_signed` describe the C type in the slot.
    `names`: those of its values, None where the kernel has none.
    """

    name: str
    ctype: str
    offset: int
    size: int
    signed: bool
    kind: FieldKind
    count: int = 0
    user_pointer: bool = False
    value_size: int = 0
    value_signed: bool = False
    names: NumberNames | None = field(default=None, compare=False, repr=False)

    @property
    def element_size(self) -> int:
        """Bytes of one element of an array; 1 for strings."""
        return self.size // self.count if self.kind == "array" and self.count else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracepoint:
    """A tracepoint event: `id` is what perf_event_open takes, None where it is unknown."""

    category: str
    event: str
    id: int | None
    common: tuple[TraceField, ...]
    fields: tuple[TraceField, ...]

    def field(self, name: str) -> TraceField | None:
        """The field of this name, one of the `common_` ones too."""
        return next((f for f in (*self.fields, *self.common) if f.name == name), None)


def parse_format(category: str, event: str, text: str) -> Tracepoint:
    """Read the text of `events/CATEGORY/EVENT/format`; other lines than fields and the print format
    are skipped."""
    in_user_space = category == "syscalls" and event.startswith("sys_enter_")
    fields = [_parse_field(match, in_user_space) for match in _FIELD.finditer(text)]
    fields = list(_with_names(fields, text))
    number = _ID.search(text)
    return Tracepoint(
        category=category,
        event=event,
        id=int(number[1]) if number else None,
        common=tuple(f for f in fields if f.name.startswith("common_")),
        fields=tuple(f for f in fields if not f.name.startswith("common_")),
    )


def _with_names(fields: Sequence[TraceField], text: str) -> Iterator[TraceField]:
    """The fields with the names of their values, from the print format or by their type."""
    at = text.find(_PRINT_FORMAT)
    tables = parse_printed_names(text[at:]) if at >= 0 else {}
    for one in fields:
        names = tables.get(one.name)
        if names is None and one.ctype.startswith("enum "):
            names = NumberNames(kind="enum", ctype=one.ctype)
        if names is None and at < 0:
            names = _UNRECORDED
        yield replace(one, names=names) if names is not None and one.kind == "int" else one


def _parse_field(match: re.Match[str], in_user_space: bool) -> TraceField:
    attributes = [attribute["text"] for attribute in _ATTRIBUTE.finditer(match["decl"])]
    ctype, name, array = _parse_declaration(_ATTRIBUTE.sub("", match["decl"]))
    size, signed = int(match["size"]), match["signed"] == "1"
    kind, count = _classify_field(ctype, array, size)
    value = _NARROW.get(ctype.removeprefix("const "), (size, signed))
    return TraceField(
        name=name,
        ctype=ctype + array,
        offset=int(match["offset"]),
        size=size,
        signed=signed,
        kind=kind,
        count=count,
        user_pointer=kind == "pointer"
        and (in_user_space or any('"user"' in text for text in attributes)),
        value_size=min(value[0], size) if in_user_space and kind == "int" else size,
        value_signed=value[1] if in_user_space and kind == "int" else signed,
    )


def _parse_declaration(decl: str) -> tuple[str, str, str]:
    """ "char comm[16]" → ("char", "comm", "[16]"); a location's type keeps its "[]"."""
    match = _DECLARATION.match(decl.strip())
    if match is None:
        return decl.strip(), "", ""
    return match["type"], match["name"], match["array"]


def _classify_field(ctype: str, array: str, size: int) -> tuple[FieldKind, int]:
    if ctype.startswith(("__data_loc", "__rel_loc")):
        if not re.search(r"\bchar\b", ctype) or "unsigned" in ctype:
            return "dynamic", 0
        return ("data_loc" if ctype.startswith("__data_loc") else "rel_loc"), 0
    if array:
        if ctype in ("char", "const char"):
            return "string", size
        return "array", _element_count(array, size)
    if "*" in ctype:
        return "pointer", 0
    return ("int", 0) if size in (1, 2, 4, 8) else ("array", size)  # a struct by value: its bytes


def _element_count(array: str, size: int) -> int:
    """From the brackets; a length that is a name there leaves single bytes, "[]" leaves 0."""
    count = 1
    for length in re.findall(r"\[([^\]]*)\]", array):
        number = re.fullmatch(r"\s*([0-9]{1,9})\s*", length)
        if number is None:
            return size
        count *= int(number[1])
    return count
