"""Nodes that the kernel can fetch at a dynamic event, as fetch arguments.

Syntax: Documentation/trace/kprobetrace.rst; limits: kernel/trace/trace_probe.h.
"""

from collections.abc import Mapping, Sequence

from orchestrator.compile.expressions.nodes import (
    Address,
    Builtin,
    Convert,
    Field,
    Load,
    Node,
    ReadString,
    Register,
)
from orchestrator.compile.expressions.types import Array, Bool, Int, Pointer, Str, Struct

__all__ = ["ARGUMENT_REGISTERS", "Fetcher", "syscall_fields", "syscall_function"]

#: Integer arguments by the calling convention (System V x86-64 ABI 3.2.3; AAPCS64 6.4).
ARGUMENT_REGISTERS: Mapping[str, tuple[str, ...]] = {
    "x86_64": ("%di", "%si", "%dx", "%cx", "%r8", "%r9"),
    "aarch64": tuple(f"%x{i}" for i in range(8)),
}
_MOST = 63  # MAX_ARGSTR_LEN: an argument's expression with its type


class Fetcher:
    """Writes fetch arguments. `arch`: as uname prints it. `user`: the event is in user code, where
    plain reads are of user memory. `fields`: fetch expressions of a tracepoint's fields by name,
    where the event is a function that has the same arguments."""

    def __init__(
        self, arch: str, *, user: bool = False, fields: Mapping[str, str] | None = None
    ) -> None:
        self.registers = ARGUMENT_REGISTERS.get(arch, ())
        self.user = user
        self.fields = fields or {}

    def fetch_argument(self, node: Node) -> str | None:
        """`EXPRESSION:TYPE`, or None where tracefs cannot fetch the node."""
        text = self._fetch_text(node)
        return text if text is not None and len(text) <= _MOST else None

    def _fetch_text(self, node: Node) -> str | None:
        match node:
            case Builtin(name="comm"):
                return "$comm"
            case ReadString(pointer=pointer, length=None):
                return self._memory_text(pointer, 0, "string")
            case Load(base=base, offset=offset, type=Str()):
                return self._memory_text(base, offset, "string")
            case Load(base=base, offset=offset, type=kind, bit_size=bits) if bits:
                return self._bitfield_text(base, offset, kind, node.bit_offset, bits)
            case Load(base=base, offset=offset, type=Int() | Bool() | Pointer() as kind):
                return self._memory_text(base, offset, _type_word(kind))
            case Register(type=kind) | Builtin(name="retval", type=kind) | Field(type=kind):
                value = self._value_text(node)
                return None if value is None else f"{value}:{_type_word(kind)}"
            case _:
                return None

    def _bitfield_text(
        self, base: Node, offset: int, kind: object, at: int, bits: int
    ) -> str | None:
        container = kind.bits if isinstance(kind, Int) else 8
        return self._memory_text(base, offset, f"b{bits}@{at}/{container}")

    def _memory_text(self, base: Node, offset: int, kind: str) -> str | None:
        address = self._dereference(base, offset)
        if address is None:
            return None
        user = not self.user and _in_user_space(base)
        return f"{address}:{'ustring' if user and kind == 'string' else kind}"

    def _dereference(self, base: Node, offset: int) -> str | None:
        """`±[u]OFFSET(BASE)`: what is stored at an address."""
        while isinstance(base, Address):
            offset += base.offset
            base = base.base
        inner = self._value_text(base)
        mark = "u" if not self.user and _in_user_space(base) else ""
        return (
            None if inner is None else f"{'-' if offset < 0 else '+'}{mark}{abs(offset)}({inner})"
        )

    def _value_text(self, node: Node) -> str | None:
        match node:
            case Register(index=index) if index < len(self.registers):
                return self.registers[index]
            case Builtin(name="retval"):
                return "$retval"
            case Field(field=field):
                return self.fields.get(field.name)
            case Load(base=base, offset=offset, type=kind, bit_size=0) if _is_address(kind):
                return self._dereference(base, offset)
            case Convert(value=value, type=kind) if _is_address(kind) and _is_address(value.type):
                return self._value_text(value)
            case _:
                return None


def _is_address(kind: object) -> bool:
    return isinstance(kind, Pointer) or (isinstance(kind, Int) and kind.bits == 64)


def _in_user_space(base: Node) -> bool:
    return isinstance(base.type, Pointer | Struct | Array) and base.type.space == "user"


def _type_word(kind: object) -> str:
    if isinstance(kind, Int):
        return kind.name
    return "u8" if isinstance(kind, Bool) else "u64"


#: Of a system call's function: its prefix, the register with its only argument, a pointer to the
#: registers saved at entry (struct pt_regs; SYSCALL_DEFINEx in
#: arch/*/include/asm/syscall_wrapper.h), and the offsets of the call's arguments there. On arm64
#: the result replaces the first of them only after the function.
_SAVED = {
    "x86_64": ("__x64_sys_", "%di", (112, 104, 96, 56, 72, 64)),
    "aarch64": ("__arm64_sys_", "%x0", (0, 8, 16, 24, 32, 40)),
}


def syscall_function(arch: str, name: str) -> str | None:
    """The kernel function of a system call; None where its arguments cannot be read."""
    return _SAVED[arch][0] + name if arch in _SAVED else None


def syscall_fields(arch: str, names: Sequence[str]) -> dict[str, str]:
    """Fetch expressions of the arguments by name, at that function's entry. `names` are in order.
    Raises KeyError for an architecture where `syscall_function` is None."""
    _, pointer, offsets = _SAVED[arch]
    return {name: f"+{at}({pointer})" for name, at in zip(names, offsets, strict=False)}
