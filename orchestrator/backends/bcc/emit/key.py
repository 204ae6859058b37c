"""One part of a key, stored at its offset."""

from orchestrator.backends.bcc.emit.expressions import Expressions
from orchestrator.compile.expressions.nodes import Node
from orchestrator.compile.expressions.types import Stored
from orchestrator.compile.program import KeyField


def store_key_part(e: Expressions, part: KeyField, node: Node) -> None:
    """Statements that store `node` at its offset in the bytes `key`."""
    if isinstance(node.type, Stored):
        e.store(node, f"key + {part.offset}", part.size)
        return
    width = part.size * 8
    e.writer.line(f"*(u{width} *)(key + {part.offset}) = (u{width})({e.number(node)});")
