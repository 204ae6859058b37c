"""One event in two worlds that differ in user data alone, and what a program shows of it.

Where a policy protects user data, both worlds must look the same. Under `truncate(N)` the first N
bytes behind each pointer that a program or the kernel states are the same in both, and may show.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from orchestrator.compile.expressions.data_sources import address_of_read
from orchestrator.compile.expressions.evaluate import ReadFailed, evaluate
from orchestrator.compile.expressions.nodes import (
    Address,
    Builtin,
    Captured,
    EndpointOf,
    FamilyIp,
    Field,
    IpOf,
    LetRef,
    Node,
    RawArg,
    ReadBytes,
    ReadPath,
    ReadStrings,
    Register,
    UsdtArg,
)
from orchestrator.compile.expressions.types import Int, Pointer, Str, wrap_integer
from orchestrator.compile.program import Hook, Program
from orchestrator.kernel.facts import KernelFacts

__all__ = ["World", "look_at"]

_USER, _KERNEL, _TEXT = 0x7F00_0000_0000, 0xFFFF_8880_0000_0000, 0xFFFF_C900_0000_0000
_SPACING = 1 << 20


@dataclass(slots=True, kw_only=True)
class World:
    """All that an event can see. `secret` fills user memory, registers of user code and the
    kernel's copies; `shown`: so many bytes behind each pointer are the same in every world."""

    secret: str
    shown: int
    facts: KernelFacts

    def draw(self, *what: object, is_secret: bool) -> int:
        """A number of 64 bits that depends on `what`, and on the secret."""
        seed = repr((self.secret if is_secret else "", what)).encode()
        return int.from_bytes(hashlib.blake2b(seed, digest_size=8).digest(), "little")

    def byte(self, address: int, space: str) -> int:
        """A printable byte of memory."""
        offset = address % _SPACING
        is_secret = (space == "user" or address >= _TEXT) and offset >= self.shown
        at = offset if offset < self.shown else address
        return 33 + self.draw("byte", at, is_secret=is_secret) % 90

    def bytes_at(self, address: int, space: str, size: int) -> bytes:
        """Bytes of memory."""
        return bytes(self.byte(address + index, space) for index in range(size))


class _Look:
    """Evaluates the nodes of one hook in one world."""

    def __init__(self, world: World, hook: Hook) -> None:
        self.world, self.hook = world, hook
        self.in_user_code = hook.traits.site == "user code"

    def value_of(self, node: Node) -> int | bytes | None:
        """The value of a node; None where it cannot be read."""
        try:
            return evaluate(node, self.leaf)
        except ReadFailed:
            return None

    def number_of(self, node: Node) -> int:
        """The value of a number or an address."""
        value = evaluate(node, self.leaf)
        assert isinstance(value, int)
        return value

    def leaf(self, node: Node) -> int | bytes | None:
        """Leaves and reads; None for what the evaluator computes."""
        match node:
            case LetRef(index=index):
                return evaluate(self.hook.body.lets[index].node, self.leaf)
            case Captured(index=index):
                assert self.hook.body.entry is not None
                return evaluate(self.hook.body.entry.captures[index], self.leaf)
            case Field(field=field, type=Str(size=size)):
                text = self.world.bytes_at(_TEXT, "kernel", size - 1)
                return text if field.name == "filename" else text[:0] + b"public"
            case Register() | RawArg() | UsdtArg() | Field() | Builtin():
                return self.argument(node)
            case Address(base=base, offset=offset):
                return wrap_integer(self.number_of(base) + offset, Int(64, False))
            case ReadPath():
                return b"public"
            case _:
                at = address_of_read(node)
                return None if at is None else self.read(node, at)

    def argument(self, node: Any) -> int | bytes:
        """A register, a field or a builtin."""
        kind = node.type
        name = getattr(node, "name", "") or getattr(node, "index", "")
        if isinstance(kind, Str):
            return b"public"
        if self.in_user_code and not (isinstance(node, Builtin) and node.name != "retval"):
            drawn = self.world.draw(type(node).__name__, str(name), is_secret=True)
            return _USER + drawn % (1 << 18) * _SPACING  # any pointer's text begins at its multiple
        number = self.world.draw(type(node).__name__, str(name), is_secret=False)
        if not isinstance(kind, Pointer):
            return wrap_integer(number, kind) if isinstance(kind, Int) else number & 1
        if kind.space == "user":
            return _USER + number % (1 << 18) * _SPACING
        btf = self.world.facts.btf
        is_text = btf is not None and kind.target and btf.type(kind.target).size == 1
        return (_TEXT if is_text else _KERNEL) + number % (1 << 18) * _SPACING

    def read(self, node: Any, at: Node) -> int | bytes:
        """What `node` reads from memory."""
        space = getattr(at.type, "space", "kernel")
        if self.hook.traits.takes_user_pointers:
            space = "user"
        address = self.number_of(at) + getattr(node, "offset", 0)
        if isinstance(node, ReadBytes):
            length = max(0, min(self.number_of(node.length), node.type.size))
            return self.world.bytes_at(address, space, length)
        if isinstance(node, ReadStrings | EndpointOf | FamilyIp | IpOf):
            return self.world.bytes_at(address, space, 16)
        if isinstance(node.type, Str):
            return self.world.bytes_at(address, space, node.type.size - 1)
        number = int.from_bytes(self.world.bytes_at(address, space, 8), "little")
        if isinstance(node.type, Pointer):
            return _USER + number % (1 << 18) * _SPACING if space == "user" else _KERNEL
        return wrap_integer(number, node.type) if isinstance(node.type, Int) else number & 1

    # ------------------------------------------------------------ what leaves

    def is_true(self, node: Node | None) -> bool:
        """Whether a condition holds; one that cannot be read does not."""
        return node is None or bool(self.value_of(node))

    def shown(self, parts: Any, nodes: Any) -> tuple[object, ...]:
        """Fields of a record or a key as they are shown, digests masked."""
        return tuple(
            "digest" if part.presentation and part.presentation.hashed else self.value_of(node)
            for part, node in zip(parts, nodes, strict=True)
        )


def look_at(program: Program, world: World) -> list[object]:
    """Everything that the program shows of one event at each of its hooks."""
    seen: list[object] = []
    for hook in program.hooks:
        look, body, probe = _Look(world, hook), hook.body, program.probes[hook.probe]
        entry = body.entry.where if body.entry is not None else ()
        if not all(map(look.is_true, (*entry, *body.where))):
            seen.append("filtered")
            continue
        fields = probe.emit.fields if probe.emit is not None else ()
        seen.append(look.shown(fields, body.emit))
        for spec, use in zip(probe.metrics, body.metrics, strict=True):
            if look.is_true(use.where):
                value = 1 if use.value is None else look.value_of(use.value)
                seen.append((spec.name, look.shown(spec.key, use.key), value))
    return seen
