"""One part of a key, stored at its offset."""

from typing import Protocol

from orchestrator.backends.bcc.emit.writer import CWriter
from orchestrator.compile.expressions.nodes import Node
from orchestrator.compile.expressions.types import Stored
from orchestrator.compile.program import KeyField

__all__ = ["ValueWriter", "store_key_part"]


class ValueWriter(Protocol):
    """What writes values: emit.expressions.Expressions."""

    @property
    def writer(self) -> CWriter:
        """Where the statements go."""

    def number(self, node: Node) -> str:
        """A C expression of a number."""

    def store(self, node: Node, to: str, size: int) -> None:
        """Statements that put a value into the `size` bytes at `to`."""


def store_key_part(e: ValueWriter, part: KeyField, node: Node, key: str = "key") -> None:
    """Statements that store `node` at its offset in the bytes `key`."""
    if isinstance(node.type, Stored):
        e.store(node, f"{key} + {part.offset}", part.size)
        return
    width = part.size * 8
    e.writer.line(f"*(u{width} *)({key} + {part.offset}) = (u{width})({e.number(node)});")
