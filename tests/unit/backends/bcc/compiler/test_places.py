"""Where open numbers are in the instructions, and what is written there."""

import struct
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.backends.bcc.compiler import clang, places
from orchestrator.backends.bcc.compiler.places import (
    FillError,
    OpenPlace,
    OpenProgram,
    Placeholders,
    StrayPlaceholderError,
    choose_placeholders,
    fill_program,
    find_places,
)
from orchestrator.backends.bcc.emit.open_numbers import MOST_SLOTS
from orchestrator.backends.protocol import OpenNumber

HOLDERS = Placeholders(immediate=0x20001000, high=0x3000, offset=-0x7FFF)
ADD, ADD_32, SUB, LOAD, STORE, JUMP = 0x07, 0x04, 0x17, 0x79, 0x7B, 0x05
#: An address in a structure, a field of the context and an id, each twice, and other code around.
TEXT = """#include <probeplan/prelude.h>
int f(unsigned long long *ctx)
{
	u64 value = 0;
	pp_read_kernel(&value, 8, (void *)PP_MEMBER(PP_MEMBER(pp_task(), 0), 2));
	pp_read_kernel(&value, 8, (void *)(PP_MEMBER(value, 0) + 0x1234));
	return PP_RECORD(u16, 1) == (u16)PP_NUMBER(3) ? PP_RECORD(u64, 4) == value : PP_NUMBER(3) > 1;
}
"""


def code(*instructions: tuple[int, int, int]) -> bytes:
    """Instructions from (opcode, offset, immediate)."""
    return b"".join(struct.pack("=BBhi", op, 0x21, off, imm) for op, off, imm in instructions)


def wide(immediate: int, high: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    return (0x18, 0, immediate), (0, 0, high)


def numbers(*values: int) -> list[OpenNumber]:
    return [OpenNumber(name=f"number {slot}", value=value) for slot, value in enumerate(values)]


def place(instruction: int, form: places.PlaceForm, slot: int) -> OpenPlace:
    return OpenPlace(function="f", instruction=instruction, form=form, slot=slot)


WHOLE = code(
    (ADD, 0, HOLDERS.immediate + 1),
    *wide(HOLDERS.immediate, HOLDERS.high),
    (LOAD, HOLDERS.offset + 2, 0),
    (JUMP, HOLDERS.offset, 0),
    (ADD, 0, 8),
)
PLACES = (place(0, "add", 1), place(1, "wide", 0), place(3, "record", 2))


def test_places_are_found_by_opcode_and_placeholder() -> None:
    """A jump of the same distance is none, and neither is another number added."""
    assert find_places({"f": WHOLE}, HOLDERS) == PLACES


@pytest.mark.parametrize(
    "instruction",
    [
        (ADD_32, 0, HOLDERS.immediate),
        (SUB, 0, HOLDERS.immediate + MOST_SLOTS - 1),
        (STORE, HOLDERS.offset, 0),
        (0x18, 0, HOLDERS.immediate),
    ],
)
def test_a_placeholder_at_another_instruction_is_noticed(
    instruction: tuple[int, int, int],
) -> None:
    """A number of the program itself: it must not be taken for a slot, nor be overlooked."""
    with pytest.raises(StrayPlaceholderError, match="f, instruction 1"):
        find_places({"f": code((ADD, 0, 1), instruction, (0, 0, 7))}, HOLDERS)


def test_the_numbers_are_written_to_their_places_and_nowhere_else() -> None:
    filled = fill_program(OpenProgram(code={"f": WHOLE}, places=PLACES), numbers(2**64 - 2, -5, 24))
    assert filled["f"] == code(
        (ADD, 0, -5), *wide(-2, -1), (LOAD, 24, 0), (JUMP, HOLDERS.offset, 0), (ADD, 0, 8)
    )


@pytest.mark.parametrize(
    ("where", "value", "why"),
    [
        (place(0, "add", 0), 1 << 31, "number 0 is 2147483648"),
        (place(0, "add", 0), -(1 << 31) - 1, "takes numbers from -2147483648 to 2147483647"),
        (place(3, "record", 0), 1 << 15, "number 0 is 32768, and its place takes"),
        (place(3, "record", 0), -1, "from 0 to 32767"),
        (place(1, "wide", 0), 1 << 64, "number 0 is"),
        (place(1, "wide", 0), -1, "number 0 is -1"),
        (place(0, "add", 1), 1, "slot 1 has no number; there are 1"),
        (place(0, "add", -1), 1, "slot -1 has no number"),
        (place(1, "add", 0), 1, "instruction 1 of 'f' has opcode 0x18"),
        (place(0, "wide", 0), 1, "opcode 0x7, and is not of the form 'wide'"),
        (place(0, "record", 0), 1, "not of the form 'record'"),
        (place(3, "add", 0), 1, "not of the form 'add'"),
        (place(6, "add", 0), 1, "no instruction 6"),
        (place(5, "wide", 0), 1, "no instruction 5"),
        (place(-1, "add", 0), 1, "no instruction -1"),
        (replace(place(0, "add", 0), function="g"), 1, "no function 'g'"),
    ],
)
def test_what_does_not_fit_is_not_written(where: OpenPlace, value: int, why: str) -> None:
    """Neither into another opcode, nor outside of the code, nor a number that would be cut."""
    with pytest.raises(FillError, match=why):
        fill_program(OpenProgram(code={"f": WHOLE}, places=(where,)), numbers(value))


@given(st.lists(st.integers(0, 0x7FFF), min_size=5, max_size=5))
def test_every_place_gets_the_number_of_its_own_slot(values: list[int]) -> None:
    """Whatever the numbers are: read back from the compiled instructions, each is its slot's."""
    program = compiled(0)
    filled = fill_program(program, numbers(*values))
    assert {one.slot for one in program.places} == set(range(5))
    for one in program.places:
        assert number_at(filled["f"], one) == values[one.slot], one


def number_at(function: bytes, where: OpenPlace) -> int:
    at = where.instruction * 8
    if where.form == "record":
        return int(struct.unpack_from("=h", function, at + 2)[0])
    low: int = struct.unpack_from("=i", function, at + 4)[0]
    if where.form == "add":
        return low
    high: int = struct.unpack_from("=I", function, at + 12)[0]
    return high << 32 | low


_COMPILED: dict[int, OpenProgram] = {}


def compiled(attempt: int) -> OpenProgram:
    if attempt not in _COMPILED:
        _COMPILED[attempt] = clang.compile_open(TEXT, ["f"], attempt)
    return _COMPILED[attempt]


def test_other_placeholders_change_the_places_and_nothing_else() -> None:
    """Two compilations agree on the places, and differ in the number at each of them alone."""
    first, second = compiled(0), compiled(1)
    assert first.places == second.places
    assert len(first.places) == len({one.instruction for one in first.places}) == 6
    assert all(
        number_at(first.code["f"], one) != number_at(second.code["f"], one) for one in first.places
    )
    values = numbers(1, 2, 3, 4, 5)
    assert fill_program(first, values) == fill_program(second, values)


@pytest.mark.parametrize("attempt", range(4))
def test_placeholders_are_not_among_the_numbers_of_a_text(attempt: int) -> None:
    """Written as C writes numbers, in either base."""
    free = choose_placeholders("", attempt)
    assert free == choose_placeholders("", attempt)
    taken = f"x = {free.immediate + 3};"
    for text in (taken, f"x = {free.immediate:#x}ULL;"):
        chosen = choose_placeholders(text, attempt)
        assert not chosen.immediate <= free.immediate + 3 < chosen.immediate + MOST_SLOTS
    assert choose_placeholders("", attempt + 1).immediate != free.immediate


def test_a_program_that_has_a_placeholder_itself_is_compiled_with_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The compiler made the number from others, so that the text does not show it."""
    text = TEXT.replace("(u16)PP_NUMBER(3)", "(u64)(pp_cpu() ^ 2 * 0x10000800UL)")
    attempts: list[int] = []

    def choose(text: str, attempt: int = 0) -> Placeholders:
        attempts.append(attempt)
        return HOLDERS if attempt == 0 else choose_placeholders(text, attempt)

    monkeypatch.setattr(places, "choose_placeholders", choose)
    with_others = clang.compile_open(text, ["f"])
    assert attempts == [0, 1]
    assert fill_program(with_others, numbers(1, 2, 3, 4, 5)) == fill_program(
        clang.compile_open(text, ["f"], 2), numbers(1, 2, 3, 4, 5)
    )


def test_a_text_without_open_numbers_has_no_places() -> None:
    program = clang.compile_open("int f(unsigned long long *ctx) { return 1; }", ["f"])
    assert program.places == ()
    assert fill_program(program, no_numbers()) == program.code


def no_numbers() -> Sequence[OpenNumber]:
    return ()
