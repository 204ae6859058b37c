"""Notes as expressions see them: what is kept, and by which key it is found."""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace

from orchestrator.compile.expressions.arithmetic import convert_node
from orchestrator.compile.expressions.data_sources import SourcedNode
from orchestrator.compile.expressions.nodes import Node, Noted, NoteValue, Several, ShownAs
from orchestrator.compile.expressions.types import U64, Bool, Int, Pointer, Type, UnknownType
from orchestrator.plan.findings import Position, plan_error
from orchestrator.plan.nearest import suggest_or_list
from orchestrator.values import dataclass

__all__ = [
    "KeptShape",
    "NamedNodes",
    "NoteShape",
    "flatten_key",
    "open_shape",
    "read_note",
    "test_note",
]

#: The parts of a key, each by its name; a tuple is several.
NamedNodes = Sequence[tuple[str, Node]]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptShape:
    """A value that a note keeps: its type, how it is shown, the attach points where it is kept, and
    what it is computed of there."""

    type: Type
    points: tuple[str, ...] = ()
    shown: ShownAs | None = None
    behind: tuple[SourcedNode, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteShape:
    """A note number `index` as it is read: the names of its key as the plan has them, the types to
    which their parts are brought (None: not known), and what is kept, by name."""

    index: int
    name: str
    key: tuple[str, ...]
    parts: tuple[Type, ...] | None
    kept: Mapping[str, KeptShape]
    position: Position


def open_shape(
    index: int, name: str, key: tuple[str, ...], kept: Sequence[str], position: Position
) -> NoteShape:
    """A note of which only a kernel can say the types."""
    unknown = KeptShape(type=UnknownType(plain=False))
    shapes = dict.fromkeys(kept, unknown)
    return NoteShape(index=index, name=name, key=key, parts=None, kept=shapes, position=position)


def read_note(shape: NoteShape, name: str, key: NamedNodes, place: Position) -> Node:
    """`note.N.name`, by the key. Raises PlanError."""
    kept = shape.kept.get(name)
    if kept is None:
        hint = suggest_or_list(name, tuple(shape.kept))
        raise plan_error("PP087", f"the note {shape.name!r} keeps no {name!r}", place, hint)
    value = NoteValue(
        shape.index,
        tuple(shape.kept).index(name),
        _convert_key(shape, key),
        kept.type,
        f"note.{shape.name}.{name}",
    )
    return value if kept.shown is None else replace(kept.shown, value=value)


def test_note(shape: NoteShape, key: NamedNodes) -> Node:
    """`noted(N)`, by the key."""
    return Noted(shape.index, _convert_key(shape, key), f"noted({shape.name})")


def flatten_key(name: str, node: Node) -> list[tuple[str, Node]]:
    """A part of a key, and if it is a tuple each of its items, as `io.0`, `io.1`."""
    if isinstance(node, Several):
        parts = [flatten_key(f"{name}.{number}", item) for number, item in enumerate(node.items)]
        return [item_part for part in parts for item_part in part]
    return [(name, node)]


def _convert_key(shape: NoteShape, key: NamedNodes) -> tuple[Node, ...]:
    nodes = [node for _, node in key]
    if shape.parts is None or len(shape.parts) != len(nodes):
        return tuple(nodes)
    return tuple(map(_convert_part, nodes, shape.parts))


def _convert_part(node: Node, kind: Type) -> Node:
    """As parts of keys are brought to the type that all probes share (compile.layout)."""
    while isinstance(node, ShownAs):
        node = node.value
    if isinstance(kind, Int | Bool | Pointer) and isinstance(node.type, Int | Bool | Pointer):
        plain = Int(kind.bits, kind.signed) if isinstance(kind, Int) else kind
        return convert_node(node, U64 if isinstance(kind, Pointer) else plain)
    return node
