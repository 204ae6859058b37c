"""Where a program's context holds arguments and return values, by architecture and mechanism."""

import re
from typing import Literal

from orchestrator.values import dataclass

Access = Literal["registers", "arguments", "record"]

# Index of each register in struct pt_regs, in 64-bit words (arch/x86/include/asm/ptrace.h and
# arch/arm64/include/uapi/asm/ptrace.h).
_X86 = {
    "r15": 0, "r14": 1, "r13": 2, "r12": 3, "bp": 4, "bx": 5, "r11": 6, "r10": 7, "r9": 8,
    "r8": 9, "ax": 10, "cx": 11, "dx": 12, "si": 13, "di": 14, "ip": 16, "sp": 19,
}  # fmt: skip
_ARM64 = {f"x{n}": n for n in range(31)} | {"sp": 31, "pc": 32}
# The argument registers of functions: System V ABI for x86-64, AAPCS64.
_ARGUMENTS = {
    "x86_64": tuple(_X86[name] for name in ("di", "si", "dx", "cx", "r8", "r9")),
    "aarch64": tuple(range(8)),
}
_RETURNED = {"x86_64": _X86["ax"], "aarch64": 0}
_NAMES = {"x86_64": _X86, "aarch64": _ARM64}
ARCHITECTURES = tuple(_NAMES)
_STACK = {"x86_64": _X86["sp"], "aarch64": _ARM64["sp"]}
# On x86-64 a call pushes the return address, and ret removes it.
_RETURN_STEP = {"x86_64": 8, "aarch64": 0}
_LINK = {"aarch64": 30}


def find_argument(arch: str, index: int) -> int | None:
    """Word of pt_regs that holds a function's argument, None when it is not in a register."""
    places = _ARGUMENTS[arch]
    return places[index] if index < len(places) else None


def find_return(arch: str) -> int:
    """Word of pt_regs that holds a function's return value."""
    return _RETURNED[arch]


def find_stack(arch: str) -> int:
    """Word of pt_regs that holds the stack pointer."""
    return _STACK[arch]


def return_step(arch: str) -> int:
    """The stack pointer after a function's return, less that at its entry, in bytes."""
    return _RETURN_STEP[arch]


def find_link(arch: str) -> int | None:
    """Word of pt_regs that holds the address to return to at a function's entry; None where it is
    on the stack."""
    return _LINK.get(arch)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperandAccess:
    """A USDT argument: `size` bytes, signed or not. It is a constant, a register, or memory at base
    + index * scale + displacement. Registers are words of pt_regs."""

    size: int
    signed: bool
    constant: int | None = None
    register: int | None = None
    base: int | None = None
    index: int | None = None
    scale: int = 1
    displacement: int = 0


_SIZED = re.compile(r"(?P<size>-?[1248])@(?P<place>.+)")
_NUMBER = r"-?(?:0x[0-9a-fA-F]+|\d+)"
_X86_MEMORY = re.compile(
    rf"(?P<displacement>{_NUMBER})?\((?:%(?P<base>\w+))?(?:,%(?P<index>\w+)(?:,(?P<scale>[1248]))?)?\)"
)
#: Base and offset, or base and index, which may be shifted.
_ARM_MEMORY = re.compile(
    rf"\[(?P<base>\w+)(?:,\s*(?:#?(?P<displacement>{_NUMBER})"
    r"|(?P<index>x\d+)(?:,\s*lsl\s+#?(?P<shift>[0-3]))?))?\]"
)
_ARM_ZERO = ("xzr", "wzr")


def parse_operand(text: str, arch: str) -> OperandAccess | None:
    """One argument of a stapsdt note (`-4@%edi`, `8@-8(%rbp)`, `4@$5`; on arm64 `8@[sp, 16]`,
    `8@[x0, x1, lsl 3]`); None for an unsupported form, such as memory relative to a symbol."""
    match = _SIZED.fullmatch(text.strip())
    if match is None:
        return None
    signed, size = match["size"].startswith("-"), abs(int(match["size"]))
    place = match["place"].strip()
    if re.fullmatch(rf"\$?#?{_NUMBER}", place):
        return OperandAccess(size=size, signed=signed, constant=int(place.lstrip("$#"), 0))
    if arch == "aarch64" and place in _ARM_ZERO:
        return OperandAccess(size=size, signed=signed, constant=0)
    register = _find_register(place.lstrip("%"), arch)
    if register is not None:
        return OperandAccess(size=size, signed=signed, register=register)
    return _parse_memory(place, size, signed, arch)


def _parse_memory(place: str, size: int, signed: bool, arch: str) -> OperandAccess | None:
    pattern = _X86_MEMORY if arch == "x86_64" else _ARM_MEMORY
    match = pattern.fullmatch(place)
    if match is None:
        return None
    parts = match.groupdict()
    base, index = (_find_register(parts.get(name) or "", arch) for name in ("base", "index"))
    if (parts.get("base") and base is None) or (parts.get("index") and index is None):
        return None
    return OperandAccess(
        size=size,
        signed=signed,
        base=base,
        index=index,
        scale=int(parts.get("scale") or 1) << int(parts.get("shift") or 0),
        displacement=int(parts["displacement"] or "0", 0),
    )


def _find_register(name: str, arch: str) -> int | None:
    """The word of a register by any of its names; narrower ones are the low end of the same
    word."""
    names = _NAMES[arch]
    if name in names:
        return names[name]
    if arch == "aarch64":
        return names.get("x" + name[1:]) if name.startswith("w") else None
    if match := re.fullmatch(r"(r\d+)[dwb]", name):
        return names.get(match[1])
    if match := re.fullmatch(r"[re]([a-ds][xip])|[re]([bsi]p|[sd]i)", name):
        return names.get(match[1] or match[2])
    if match := re.fullmatch(r"([a-d])l|([sd]i|[bs]p)l", name):
        return names.get(f"{match[1]}x" if match[1] else match[2])
    return None
