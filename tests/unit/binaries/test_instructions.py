"""A breakpoint is at the start of an instruction, and of code."""

from pathlib import Path

import pytest

from orchestrator.binaries.elf import find_symbols
from orchestrator.binaries.elf_image import Image
from orchestrator.binaries.instructions import InstructionError, check_instruction_start
from tests.support.binaries import build_target


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_target(tmp_path_factory.mktemp("target"))


@pytest.mark.parametrize("offset", [4, 8])
def test_an_offset_at_an_instruction_is_taken(library: Path, offset: int) -> None:
    [found] = find_symbols(library, "target", offset)
    assert library.read_bytes()[found.file_offset :][:4] == b"\xf3\x0f\x1e\xfa"


@pytest.mark.parametrize(("offset", "near"), [(1, "0x0"), (3, "0x4"), (5, "0x4"), (7, "0x8")])
def test_an_offset_inside_an_instruction_names_the_starts_next_to_it(
    library: Path, offset: int, near: str
) -> None:
    with pytest.raises(InstructionError, match="inside an instruction") as caught:
        find_symbols(library, "target", offset)
    assert f"target+{near}" in caught.value.hint


@pytest.mark.parametrize("offset", [9, 100])
def test_an_offset_behind_the_function_is_refused(library: Path, offset: int) -> None:
    with pytest.raises(InstructionError, match="outside the function, which has 9 bytes"):
        find_symbols(library, "target", offset)


@pytest.mark.parametrize(("name", "why"), [("unsized", "how large"), ("weird", "no instruction")])
def test_what_cannot_be_checked_is_refused(library: Path, name: str, why: str) -> None:
    with pytest.raises(InstructionError, match=why):
        find_symbols(library, name, 1)


def test_data_is_not_code(library: Path) -> None:
    """A symbol without a type may be of data, and the kernel would write a breakpoint there."""
    with pytest.raises(InstructionError, match="table is data"):
        find_symbols(library, "table")


def test_instructions_of_arm64_have_four_bytes(library: Path) -> None:
    with Image(library) as image:
        image.machine = 183
        check_instruction_start(image, "target", 0, 16, 8)
        with pytest.raises(InstructionError, match="inside an instruction") as caught:
            check_instruction_start(image, "target", 0, 16, 6)
    assert "target+0x4 or target+0x8" in caught.value.hint
