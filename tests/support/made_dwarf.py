"""Debug information that no compiler writes, made by hand for the assembler."""

from collections.abc import Sequence
from pathlib import Path

from orchestrator.values import dataclass
from tests.support.binaries import compile_to

#: Codes of DWARF 5, 7.5.4 to 7.5.6: attributes by the form that they have here.
_ATTRIBUTES = {
    "language": (0x13, 0x0B, ".byte"),
    "name": (0x03, 0x08, ".string"),
    "low_pc": (0x11, 0x01, ".quad"),
    "high_pc": (0x12, 0x06, ".long"),
    "entry_pc": (0x52, 0x01, ".quad"),
    "entry_offset": (0x52, 0x0B, ".byte"),
    "byte_size": (0x0B, 0x06, ".long"),
    "encoding": (0x3E, 0x0B, ".byte"),
    "location": (0x38, 0x06, ".long"),
    "type": (0x49, 0x13, ".long"),
    "sibling": (0x01, 0x13, ".long"),
    "count": (0x37, 0x06, ".long"),
    "origin": (0x31, 0x13, ".long"),
    "declaration": (0x3C, 0x0B, ".byte"),
}
_TAGS = {
    "unit": 0x11, "function": 0x2E, "argument": 0x05, "struct": 0x13, "member": 0x0D,
    "pointer": 0x0F, "typedef": 0x16, "base": 0x24, "array": 0x01, "range": 0x21, "enum": 0x04,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Made:
    """An entry: attributes by name, as the assembler has them. A type is the label of an entry."""

    tag: str
    attributes: dict[str, str | int]
    children: tuple["Made", ...] = ()
    label: str = ""


def make_program(folder: Path, *units: Sequence[Made]) -> Path:
    """A library with the function `work` of two instructions, described by these entries: those of
    each unit. `work` is its address, `work_end` where it ends."""
    writer = _Writer()
    for number, entries in enumerate(units):
        writer.write_unit(number, entries)
    file = folder / "made.s"
    file.write_text("\n".join([_CODE, *writer.info, *writer.list_abbreviations(), ""]))
    return compile_to(folder / "made.so", file, flags=("-shared", "-nostdlib"))


_CODE = """
    .text
    .globl work
    .type work, @function
work:
    nop
    ret
work_end:
    .size work, .-work
    .section .note.GNU-stack, "", @progbits
    .section .debug_info, "", @progbits"""


class _Writer:
    """Writes entries, and an abbreviation for each shape of them."""

    def __init__(self) -> None:
        self.info: list[str] = []
        self._shapes: dict[tuple[str, bool, tuple[str, ...]], int] = {}

    def write_unit(self, number: int, entries: Sequence[Made]) -> None:
        """The header of DWARF 4, and the entries below an entry for the unit."""
        start = f".Lunit{number}"
        self.info += [f"    .long {start}_end - {start}_begin", f"{start}_begin:", "    .value 4"]
        self.info += ["    .long .Labbreviations", "    .byte 8"]
        about: dict[str, str | int] = {"language": 12, "name": f"unit{number}.c"}
        about |= {"low_pc": "work", "high_pc": "work_end - work"}
        self._write(Made("unit", about, tuple(entries)), f"{start}_begin - 4")
        self.info.append(f"{start}_end:")

    def _write(self, entry: Made, unit: str) -> None:
        shape = entry.tag, bool(entry.children), tuple(entry.attributes)
        code = self._shapes.setdefault(shape, len(self._shapes) + 1)
        self.info += [f"{entry.label}:"] if entry.label else []
        self.info.append(f"    .uleb128 {code}")
        for name, value in entry.attributes.items():
            _, form, directive = _ATTRIBUTES[name]
            shown = f'"{value}"' if directive == ".string" else value
            self.info.append(f"    {directive} {shown}" + (f" - ({unit})" if form == 0x13 else ""))
        for child in entry.children:
            self._write(child, unit)
        self.info += ["    .byte 0"] if entry.children else []

    def list_abbreviations(self) -> list[str]:
        """The section that says what an entry of each shape has."""
        lines = ['    .section .debug_abbrev, "", @progbits', ".Labbreviations:"]
        for (tag, has_children, names), code in self._shapes.items():
            lines.append(f"    .uleb128 {code}, {_TAGS[tag]}")
            lines.append(f"    .byte {int(has_children)}")
            lines += [f"    .uleb128 {_ATTRIBUTES[n][0]}, {_ATTRIBUTES[n][1]}" for n in names]
            lines.append("    .byte 0, 0")
        return [*lines, "    .byte 0"]
