"""USDT probes of a user-space binary: their places, and where their arguments are.

Source: the SystemTap wiki, UserSpaceProbeImplementation; <sys/sdt.h>. A note holds the probe's
address, the address of .stapsdt.base at link time (prelink moves one and not the other) and the
semaphore's address, then provider, name and arguments as NUL-ended strings.
"""

import re
import struct
from pathlib import Path
from typing import Literal

from orchestrator.binaries.elf_image import ElfError, Image, NotElfError
from orchestrator.kernel.abi.elf_notes import read_notes
from orchestrator.kernel.abi.file_identity import FileIdentity
from orchestrator.values import dataclass

OperandKind = Literal["register", "memory", "constant", "unsupported"]

_NT_STAPSDT = 3
_ADDRESSES = struct.Struct("<QQQ")
# Within brackets, as arm64 writes memory, there are blanks: -4@[sp, 60].
_ARGUMENT = re.compile(
    r"(?P<size>-?[0-9]{1,3})(?P<float>f?)@(?P<operand>(?:[^\s(\[]|\([^)]*\)|\[[^\]]*\])+)"
)
_NUMBER = r"-?(?:0x[0-9a-fA-F]{1,16}|[1-9][0-9]{0,19}|0)"
_MEMORY = re.compile(rf"^(?P<offset>{_NUMBER})?\(%(?P<register>\w+)\)$")
_CONSTANT = re.compile(rf"^\$(?P<value>{_NUMBER})$")


def _name_registers() -> dict[str, str]:
    """Every name of a general register on x86-64 → its name in struct pt_regs."""
    names = {f"r{n}{suffix}": f"r{n}" for n in range(8, 16) for suffix in ("", "d", "w", "b")}
    for letter in "abcd":
        names |= {f"{p}{letter}{s}": f"{letter}x" for p, s in (("r", "x"), ("e", "x"), ("", "x"))}
        names[f"{letter}l"] = f"{letter}x"
    for register in ("si", "di", "bp", "sp"):
        names |= {f"{prefix}{register}": register for prefix in ("r", "e", "")}
        names[f"{register}l"] = register
    return names | {"rip": "ip"}


_REGISTERS = _name_registers()


@dataclass(frozen=True, slots=True, kw_only=True)
class UsdtOperand:
    """Where one argument is found when the probe is hit. `size` is in bytes.

    kind register: `register` holds it; memory: it is at `register` + `value`; constant: `value`
    is it; unsupported: neither (`text` says what the compiler wrote). Registers are named as in
    struct pt_regs of x86-64, without the leading r.
    """

    kind: OperandKind
    size: int
    signed: bool
    text: str
    register: str = ""
    value: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UsdtProbe:
    """One place of a probe; a probe that was inlined has several.

    `file_offset` is what uprobes take; `semaphore_offset` is the reference counter's file offset,
    which the kernel raises while the probe is attached, or None where there is no semaphore.
    `identity`: the file that was read.
    """

    provider: str
    name: str
    identity: FileIdentity
    address: int
    file_offset: int
    semaphore_offset: int | None
    arguments: tuple[UsdtOperand, ...]


class NoSuchProbeError(ElfError):
    """The file has no USDT probe of this provider and name; the hint lists those it has."""


def usdt_probes(path: Path, provider: str = "", name: str = "") -> tuple[UsdtProbe, ...]:
    """The probes of a file in the order of its notes: all of them, or all places of one.

    Raises ElfError; NoSuchProbeError for a provider or name that the file does not have.
    """
    probes = _all_probes(path)
    matching = tuple(p for p in probes if provider in ("", p.provider) and name in ("", p.name))
    if not matching and (provider or name):
        have = sorted({f"{p.provider}:{p.name}" for p in probes})
        shown = ", ".join(have[:12]) + (", …" if len(have) > 12 else "")
        raise NoSuchProbeError(
            f"{path} has no USDT probe {provider}:{name}",
            f"it has {shown}" if have else "it was built without USDT probes",
        )
    return matching


def _all_probes(path: Path) -> tuple[UsdtProbe, ...]:
    with Image(path) as image:
        section = image.section(".note.stapsdt")
        if section is None:
            return ()
        base = image.section(".stapsdt.base")
        return tuple(
            _parse_probe(image, text, base.address if base else None)
            for owner, kind, text in read_notes(image.content(section))
            if owner == b"stapsdt" and kind == _NT_STAPSDT
        )


def _parse_probe(image: Image, note: bytes, base_now: int | None) -> UsdtProbe:
    if len(note) < _ADDRESSES.size:
        raise NotElfError(f"{image.path}: damaged: a USDT note of {len(note)} bytes")
    address, base_linked, semaphore = _ADDRESSES.unpack_from(note)
    provider, name, arguments = (part.decode("utf-8", "replace") for part in _split_strings(note))
    moved = base_now - base_linked if base_now is not None and base_linked else 0
    offset = image.file_offset(address + moved)
    if offset is None:
        raise NotElfError(f"{image.path}: USDT {provider}:{name} is where no segment is loaded")
    if not image.is_executable(address + moved):
        raise NotElfError(f"{image.path}: damaged: USDT {provider}:{name} is not in code")
    return UsdtProbe(
        provider=provider,
        name=name,
        identity=image.identity,
        address=address + moved,
        file_offset=offset,
        semaphore_offset=image.file_offset(semaphore + moved) if semaphore else None,
        arguments=parse_arguments(arguments),
    )


def _split_strings(note: bytes) -> list[bytes]:
    return [*note[_ADDRESSES.size :].split(b"\0"), b"", b"", b""][:3]


def parse_arguments(text: str) -> tuple[UsdtOperand, ...]:
    """ "-4@%edi 8@-16(%rbp) 4@$5" → three operands; a size below zero marks a signed value."""
    return tuple(map(_parse_operand, _ARGUMENT.finditer(text)))


def _parse_operand(match: re.Match[str]) -> UsdtOperand:
    size, text = int(match["size"]), match["operand"]
    memory, constant = _MEMORY.match(text), _CONSTANT.match(text)
    kind: OperandKind = "unsupported"
    register, value = "", 0
    if match["float"] or abs(size) not in (1, 2, 4, 8):
        pass
    elif text.startswith("%") and text[1:] in _REGISTERS:
        kind, register = "register", _REGISTERS[text[1:]]
    elif memory and memory["register"] in _REGISTERS and memory["register"] != "rip":
        kind, register = "memory", _REGISTERS[memory["register"]]
        value = int(memory["offset"] or "0", 0)
    elif constant:
        kind, value = "constant", int(constant["value"], 0)
    return UsdtOperand(
        kind=kind,
        size=abs(size),
        signed=size < 0,
        text=match[0],
        register=register,
        value=value,
    )
