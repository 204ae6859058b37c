"""Where the numbers that a text leaves open are in its instructions, and how they are filled in.

The compiler writes a placeholder for each slot, in one of three forms of instruction (headers,
probeplan/prelude.h). Places are found once, right after compiling, and kept with the instructions;
filling them checks again that the form is there.
"""

import hashlib
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from orchestrator.backends.bcc.emit.open_numbers import MOST_SLOTS
from orchestrator.backends.protocol import OpenNumber
from orchestrator.values import dataclass

__all__ = ["FillError", "OpenPlace", "OpenProgram", "PlaceForm", "Placeholders"]
__all__ += ["StrayPlaceholderError", "check_places", "choose_placeholders", "fill_program"]
__all__ += ["find_places"]

#: add: a 32-bit immediate added to a register; wide: a 64-bit immediate; record: the 16-bit offset
#: of a load from the context.
PlaceForm = Literal["add", "wide", "record"]

_INSTRUCTION = struct.Struct("=BBhi")  # struct bpf_insn: opcode, registers, offset, immediate
_ADD_IMM, _LD_IMM64 = 0x07, 0x18  # BPF_ALU64 | BPF_ADD | BPF_K; BPF_LD | BPF_DW | BPF_IMM
_CLASS, _MODE = 0x07, 0xE0
_LDX, _ST, _STX, _MEM = 0x01, 0x02, 0x03, 0x60
_WORD = 1 << 32
_OFFSETS = (-0x7FFF, -0x7FFF + MOST_SLOTS)  # no other access is that far below its register
_NUMBER = re.compile(r"\b0x[0-9a-fA-F]+|\b[0-9]+")


class StrayPlaceholderError(Exception):
    """A placeholder is in an instruction that has no slot: the text has this number itself."""


class FillError(Exception):
    """A place and its number do not go together; the text says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placeholders:
    """The numbers that stand for slot 0 in each form; those of the other slots follow."""

    immediate: int
    high: int
    offset: int

    def define(self) -> str:
        """The C directives that go before a text."""
        return (
            f"#define PP_OPEN_IMMEDIATE {self.immediate:#x}\n"
            f"#define PP_OPEN_HIGH {self.high:#x}ULL\n"
            f"#define PP_OPEN_BELOW {-self.offset:#x}\n"
            "#line 1\n"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPlace:
    """One slot in one instruction: its function, and the instruction's index there."""

    function: str
    instruction: int
    form: PlaceForm
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenProgram:
    """Instructions by function, and the places in them that are still to be filled."""

    code: Mapping[str, bytes]
    places: tuple[OpenPlace, ...] = ()


def choose_placeholders(text: str, attempt: int = 0) -> Placeholders:
    """Placeholders for `text`, from a range in which it has no number. Each `attempt` gives
    others."""
    present = {int(number, 0) for number in _NUMBER.findall(text) if _is_c_number(number)}
    for turn in range(64):
        digest = hashlib.sha256(f"{attempt}.{turn}\0{text}".encode()).digest()
        first, high = struct.unpack("<II", digest[:8])
        first = 0x20000000 | first & 0x1FFFF000
        if not any(first <= number % _WORD < first + MOST_SLOTS for number in present):
            break
    return Placeholders(
        immediate=first, high=0x20000000 | high & 0x1FFFFFFF, offset=_OFFSETS[attempt % 2]
    )


def _is_c_number(text: str) -> bool:
    return text.startswith("0x") or text == "0" or not text.startswith("0")


def find_places(code: Mapping[str, bytes], placeholders: Placeholders) -> tuple[OpenPlace, ...]:
    """Every place, in the order of the instructions. Raises StrayPlaceholderError."""
    return tuple(
        OpenPlace(function=name, instruction=index, form=form, slot=slot)
        for name, function in code.items()
        for index, form, slot in _places_in(name, function, placeholders)
    )


def _places_in(
    name: str, function: bytes, placeholders: Placeholders
) -> Iterator[tuple[int, PlaceForm, int]]:
    """Where the slots of one function are: instruction, form and slot."""
    index, length = 0, len(function) // _INSTRUCTION.size
    while index < length:
        opcode, _, offset, immediate = _read(function, index)
        wide = opcode == _LD_IMM64
        high = _read(function, index + 1)[3] if wide else None
        by_immediate = _slot_of(immediate, placeholders.immediate)
        by_offset = _slot_of(offset, placeholders.offset)
        if wide and high == placeholders.high and by_immediate is not None:
            yield index, "wide", by_immediate
        elif opcode == _ADD_IMM and by_immediate is not None:
            yield index, "add", by_immediate
        elif _is_load(opcode) and by_offset is not None:
            yield index, "record", by_offset
        elif by_immediate is not None or (opcode & _CLASS in (_ST, _STX) and by_offset is not None):
            raise StrayPlaceholderError(f"{name}, instruction {index}")
        index += 2 if wide else 1


def _read(function: bytes, index: int) -> tuple[int, int, int, int]:
    opcode, registers, offset, immediate = _INSTRUCTION.unpack_from(function, index * 8)
    return opcode, registers, offset, immediate


def _slot_of(number: int, first: int) -> int | None:
    return number - first if first <= number < first + MOST_SLOTS else None


def _is_load(opcode: int) -> bool:
    return opcode & _CLASS == _LDX and opcode & _MODE == _MEM


def fill_program(program: OpenProgram, numbers: Sequence[OpenNumber]) -> dict[str, bytes]:
    """The instructions with the numbers, by slot, at their places. Raises FillError."""
    code = {name: bytearray(function) for name, function in program.code.items()}
    for place in program.places:
        if not 0 <= place.slot < len(numbers):
            raise FillError(f"slot {place.slot} has no number; there are {len(numbers)}")
        if place.function not in code:
            raise FillError(f"there is no function {place.function!r}")
        _fill_place(code[place.function], place, numbers[place.slot])
    return {name: bytes(function) for name, function in code.items()}


def check_places(program: OpenProgram, slots: int) -> None:
    """Raises FillError for a place outside the instructions or at one of another form, for two at
    one instruction, and for one whose slot is not among the first `slots`."""
    taken = set()
    for place in program.places:
        if place.function not in program.code:
            raise FillError(f"there is no function {place.function!r}")
        _locate_place(program.code[place.function], place)
        if not 0 <= place.slot < slots:
            raise FillError(f"slot {place.slot} has no name; there are {slots}")
        if (place.function, place.instruction) in taken:
            where = f"instruction {place.instruction} of {place.function!r}"
            raise FillError(f"{where} has two places")
        taken.add((place.function, place.instruction))


def _locate_place(function: bytes | bytearray, place: OpenPlace) -> int:
    """Where the place's instruction begins, in bytes."""
    at = place.instruction * _INSTRUCTION.size
    if not 0 <= at <= len(function) - _INSTRUCTION.size * (2 if place.form == "wide" else 1):
        raise FillError(f"{place.function!r} has no instruction {place.instruction}")
    if not _has_form(function[at], place.form):
        raise FillError(
            f"instruction {place.instruction} of {place.function!r} has opcode "
            f"{function[at]:#x}, and is not of the form {place.form!r}"
        )
    return at


def _fill_place(function: bytearray, place: OpenPlace, number: OpenNumber) -> None:
    at, value = _locate_place(function, place), number.value
    lowest, highest = _BOUNDS[place.form]
    if not lowest <= value <= highest:
        raise FillError(
            f"{number.name} is {value}, and its place takes numbers from {lowest} to {highest}"
        )
    if place.form == "wide":
        struct.pack_into("=I", function, at + 4, value % _WORD)
        struct.pack_into("=I", function, at + 12, value // _WORD)
    elif place.form == "add":
        struct.pack_into("=i", function, at + 4, value)
    else:
        struct.pack_into("=h", function, at + 2, value)


_BOUNDS: Mapping[PlaceForm, tuple[int, int]] = {
    "add": (-(1 << 31), (1 << 31) - 1),
    "wide": (0, (1 << 64) - 1),
    "record": (0, (1 << 15) - 1),
}


def _has_form(opcode: int, form: PlaceForm) -> bool:
    if form == "record":
        return _is_load(opcode)
    return opcode == (_LD_IMM64 if form == "wide" else _ADD_IMM)
