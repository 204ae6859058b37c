"""Metrics by stacks as trees, for flame graphs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchestrator.output.folded import fold_stacks
from orchestrator.values import dataclass

__all__ = ["MOST_NODES", "StackTree", "grow_tree"]

#: A page with more nodes is slow. Beyond it, the smallest are left out.
MOST_NODES = 6000
_HOTTEST = 20

TreeNode = tuple[int, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class StackTree:
    """`nodes`: for each, the index of its parent (-1 of the first, which is all), its name and its
    value; parents come first. `paths`: different call paths; `omitted`: nodes that were left out,
    each of which has less than `least`; `hottest`: the largest paths as text, with their values."""

    nodes: list[tuple[int, str, int]]
    paths: int
    omitted: int
    least: int
    hottest: list[tuple[str, int]]


def grow_tree(metric: Mapping[str, Any]) -> StackTree | None:
    """The tree of a metric; None where it has no stacks in its keys, or nothing that adds up."""
    lines = [line.rpartition(" ") for line in fold_stacks([metric])]
    paths = [(path, int(number)) for path, _, number in lines if int(number) > 0]
    if not paths:
        return None
    nodes = _add_paths(paths)
    least = _find_least(nodes)
    kept = _drop_small(nodes, least)
    return StackTree(
        nodes=kept,
        paths=len(paths),
        omitted=len(nodes) - len(kept),
        least=least,
        hottest=sorted(paths, key=lambda item: -item[1])[:_HOTTEST],
    )


def _add_paths(paths: Iterable[tuple[str, int]]) -> list[TreeNode]:
    """All nodes in the order in which they are met."""
    nodes: list[TreeNode] = [(-1, "all", 0)]
    found: dict[tuple[int, str], int] = {}
    values = [0]
    for path, number in paths:
        at = 0
        values[0] += number
        for name in path.split(";"):
            following = found.setdefault((at, name), len(nodes))
            if following == len(nodes):
                nodes.append((at, name, 0))
                values.append(0)
            at = following
            values[at] += number
    return [(parent, name, value) for (parent, name, _), value in zip(nodes, values, strict=True)]


def _find_least(nodes: Sequence[TreeNode]) -> int:
    if len(nodes) <= MOST_NODES:
        return 0
    return sorted((value for _, _, value in nodes), reverse=True)[MOST_NODES] + 1


def _drop_small(nodes: Sequence[TreeNode], least: int) -> list[TreeNode]:
    """Without nodes that have less than `least`: their children have no more than they do."""
    places = {-1: -1}
    kept: list[TreeNode] = []
    for index, (parent, name, value) in enumerate(nodes):
        if value >= least or index == 0:
            places[index] = len(kept)
            kept.append((places[parent], name, value))
    return kept
