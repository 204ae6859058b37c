"""Transformations of program nodes, and the leaves that an event must provide."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from orchestrator.compile.expressions.nodes import (
    READS,
    Address,
    Const,
    Convert,
    IpOf,
    KernelSymbol,
    Let,
    LetRef,
    Node,
    ParamRef,
    ShownAs,
    UserSymbol,
    children,
    transform,
)
from orchestrator.compile.expressions.types import Int, Ip, Pointer, wrap_integer
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
    """A function that replaces lets by their definitions and params by their values. A tracefs run
    cannot change params while it runs, so they are constants."""
    values: Mapping[str, int] = {param.name: param.value for param in params}

    def change(node: Node) -> Node:
        if isinstance(node, LetRef):
            return transform(lets[node.index].node, change)
        if isinstance(node, ParamRef):
            return Const(values[node.name], node.type)
        return _fold_constant(node)

    return lambda node: transform(node, change)


def _fold_constant(node: Node) -> Node:
    """A conversion of a constant becomes a constant."""
    match node:
        case Convert(value=Const(value=value), type=Int() as kind):
            return Const(wrap_integer(value, kind), kind)
        case _:
            return node


def reads_memory(node: Node) -> bool:
    """Whether the node itself reads memory, or keeps an address with its process, so that only the
    kernel can compute it. An IP address of unknown version counts as one, since no column holds
    it."""
    return (
        isinstance(node, (*READS, Address, KernelSymbol, UserSymbol))
        or (isinstance(node, IpOf) and isinstance(node.value.type, Pointer))
        or node.type == Ip(0)
    )


def strip_shown(node: Node) -> Node:
    """The node without presentations, which only user space applies."""
    return strip_shown(node.value) if isinstance(node, ShownAs) else node


def split_conjuncts(conditions: Sequence[Node]) -> Iterator[Node]:
    """The conditions, with each `a and b` split into two."""
    for node in conditions:
        if getattr(node, "op", None) == "and":
            yield from split_conjuncts(children(node))
        else:
            yield node


def leaves_of(node: Node, is_leaf: Callable[[Node], bool]) -> Iterator[Node]:
    """The largest subtrees that are leaves, and the nodes that cannot be split further. A read of
    memory is not split: the kernel does it as a whole, or it cannot be done."""
    if is_leaf(node) or not children(node) or reads_memory(node):
        yield node
    else:
        for child in children(node):
            yield from leaves_of(child, is_leaf)


def change_metric_use(use: MetricUse, change: Change) -> MetricUse:
    """The use with `change` applied to all its nodes."""
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
