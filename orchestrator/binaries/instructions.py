"""Where instructions begin. A breakpoint inside an instruction changes what the program computes,
and the kernel refuses only some (arch_uprobe_analyze_insn looks at the bytes it is given).

Every instruction of arm64 has four bytes. Those of x86-64 are found by disassembling the function
from its start, since that is the only place known to be a boundary.
"""

from functools import cache
from typing import TYPE_CHECKING

from orchestrator.binaries.elf_image import ElfError, Image

if TYPE_CHECKING:
    from capstone import Cs

__all__ = ["InstructionError", "check_instruction_start"]

_EM_X86_64, _EM_AARCH64 = 62, 183
_ARM64_BYTES = 4
_LONGEST_X86 = 15  # bytes of an instruction
#: A larger function is refused rather than disassembled for seconds.
_MOST_BYTES = 1 << 20


class InstructionError(ElfError):
    """A breakpoint there would not be at the start of an instruction, or cannot be shown to be."""


def check_instruction_start(image: Image, name: str, address: int, size: int, offset: int) -> None:
    """Raise InstructionError unless an instruction of the function starts `offset` bytes after its
    `address`. `size` in bytes; 0: the file does not say."""
    place = f"{image.path}: {name}+{offset:#x}"
    if not size:
        raise InstructionError(
            f"{place} cannot be checked: the file does not say how large {name} is",
            "probe the function's entry, or a function with a size (readelf --symbols)",
        )
    if offset >= size:
        raise InstructionError(
            f"{place} is outside the function, which has {size:,} bytes",
            f"give an offset below {size:#x}",
        )
    starts = _list_starts(image, name, address, offset)
    if starts[-1] != offset:
        near = " or ".join(f"{name}+{start:#x}" for start in starts[-2:])
        raise InstructionError(
            f"{place} is inside an instruction: a breakpoint there would damage the program",
            f"the instructions next to it start at {near}",
        )


def _list_starts(image: Image, name: str, address: int, offset: int) -> list[int]:
    """Offsets at which instructions start, up to and including the first one at or after `offset`.
    Raises InstructionError where the code cannot be read."""
    if image.machine == _EM_AARCH64:
        before = offset // _ARM64_BYTES * _ARM64_BYTES
        return [before, before + _ARM64_BYTES] if offset % _ARM64_BYTES else [before]
    if image.machine != _EM_X86_64 or offset > _MOST_BYTES:
        raise InstructionError(
            f"{image.path}: {name}+{offset:#x} cannot be checked: the instructions before it "
            f"are {'too many' if image.machine == _EM_X86_64 else 'of an unknown machine'}",
            "probe the function's entry",
        )
    return _disassemble_to(image, name, address, offset)


def _disassemble_to(image: Image, name: str, address: int, offset: int) -> list[int]:
    where = image.file_offset(address)
    code = b"" if where is None else image.bytes_up_to(where, offset + _LONGEST_X86)
    starts = [0]
    for _, length, *_ in _disassembler().disasm_lite(code, 0):
        if starts[-1] >= offset:
            break
        starts.append(starts[-1] + length)
    if starts[-1] >= offset:
        return starts
    raise InstructionError(
        f"{image.path}: {name}+{offset:#x} cannot be checked: the bytes at {name}+{starts[-1]:#x} "
        "are no instruction that is known here",
        "probe the function's entry",
    )


@cache
def _disassembler() -> "Cs":
    """Raises InstructionError where there is none. Importing it takes 70 ms."""
    try:
        from capstone import CS_ARCH_X86, CS_MODE_64, Cs
    except ImportError as error:
        raise InstructionError(
            f"an offset inside a function cannot be checked without a disassembler: {error}",
            "install python3-capstone (Debian, Ubuntu), or: pip install capstone",
        ) from None
    return Cs(CS_ARCH_X86, CS_MODE_64)
