"""Program nodes without definitions and params, and the leaves that an event must answer."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from orchestrator.compile.expressions.nodes import (
    READS,
    Address,
    Const,
    Convert,
    IpOf,
    Let,
    LetRef,
    Node,
    ParamRef,
    Shown,
    children,
    transform,
)
from orchestrator.compile.expressions.types import Int, Ip, Pointer, wrap
from orchestrator.compile.program import MetricUse, ParamSlot

__all__ = [
    "Change",
    "change_metric_use",
    "leaves_of",
    "make_expander",
    "nodes_of",
    "reads_memory",
    "split_conjuncts",
    "strip_shown",
]

Change = Callable[[Node], Node]


def make_expander(lets: Sequence[Let], params: Sequence[ParamSlot]) -> Change:
    """A function that puts definitions and the params' values in their places: a tracefs run has
    no control element, so a param is a constant of the run."""
    values: Mapping[str, int] = {param.name: param.value for param in params}

    def change(node: Node) -> Node:
        if isinstance(node, LetRef):
            return transform(lets[node.index].node, change)
        if isinstance(node, ParamRef):
            return Const(values[node.name], node.type)
        return _fold_constant(node)

    return lambda node: transform(node, change)


def _fold_constant(node: Node) -> Node:
    """Conversions of constants, done."""
    match node:
        case Convert(value=Const(value=value), type=Int() as kind):
            return Const(wrap(value, kind), kind)
        case _:
            return node


def reads_memory(node: Node) -> bool:
    """True when the node itself is of memory: only the kernel can compute it. So is an address of
    either version, which no column holds."""
    return (
        isinstance(node, (*READS, Address))
        or (isinstance(node, IpOf) and isinstance(node.value.type, Pointer))
        or node.type == Ip(0)
    )


def strip_shown(node: Node) -> Node:
    """Without what only user space shows."""
    return strip_shown(node.value) if isinstance(node, Shown) else node


def split_conjuncts(conditions: Sequence[Node]) -> Iterator[Node]:
    """The parts that must all hold: `a and b` is two."""
    for node in conditions:
        if getattr(node, "op", None) == "and":
            yield from split_conjuncts(children(node))
        else:
            yield node


def leaves_of(node: Node, is_leaf: Callable[[Node], bool]) -> Iterator[Node]:
    """The largest subtrees that are leaves, and below the others what nobody can take apart: a
    read of memory is the kernel's to do, or nobody's."""
    if is_leaf(node) or not children(node) or reads_memory(node):
        yield node
    else:
        for child in children(node):
            yield from leaves_of(child, is_leaf)


def change_metric_use(use: MetricUse, change: Change) -> MetricUse:
    """The use with all its nodes changed."""
    return replace(
        use,
        key=tuple(map(change, use.key)),
        value=None if use.value is None else change(use.value),
        where=None if use.where is None else change(use.where),
    )


def nodes_of(metrics: Iterable[MetricUse]) -> list[Node]:
    """All nodes that metrics evaluate."""
    return [
        node for use in metrics for node in (*use.key, use.value, use.where) if node is not None
    ]
