"""Metrics by stacks as trees, for flame graphs."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.output.folded import fold_stacks
from orchestrator.values import dataclass

__all__ = ["MOST_NODES", "ComparedTree", "StackTree", "compare_trees", "grow_tree"]

#: A page with more nodes is slow. Beyond it, the smallest are left out.
MOST_NODES = 6000
_HOTTEST = 20

#: The index of the parent (-1 of the first node, all), the name, and the value in each run.
TreeNode = tuple[int, str, tuple[int, ...]]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedTree:
    """The trees of two runs as one. `nodes`: parent, name, value in the first and in the second;
    `changed`: the paths that changed most, with both values. Otherwise as StackTree: a node is
    left out where both runs together have less than `least`."""

    nodes: list[tuple[int, str, int, int]]
    paths: int
    omitted: int
    least: int
    changed: list[tuple[str, int, int]]


def grow_tree(metric: Mapping[str, Any]) -> StackTree | None:
    """The tree of a metric; None where it has no stacks in its keys, or nothing that adds up."""
    paths = _add_up([metric])
    if not paths:
        return None
    kept, omitted, least = _grow(paths, runs=1, most=MOST_NODES)
    hottest = [(path, value) for path, (value,) in paths.items()]
    return StackTree(
        nodes=[(parent, name, value) for parent, name, (value,) in kept],
        paths=len(paths),
        omitted=omitted,
        least=least,
        hottest=sorted(hottest, key=lambda item: -item[1])[:_HOTTEST],
    )


def compare_trees(
    before: Mapping[str, Any], after: Mapping[str, Any], *, scale: float, most: int = MOST_NODES
) -> ComparedTree | None:
    """The tree of a metric in two runs; None where neither has stacks that add up. `scale`: what
    values of `before` are multiplied by where they are compared, since the runs took different
    times; `most`: as many nodes."""
    paths = _add_up([before, after])
    if not paths:
        return None
    kept, omitted, least = _grow(paths, runs=2, most=most)
    both = [(path, first, second) for path, (first, second) in paths.items()]
    return ComparedTree(
        nodes=[(parent, name, first, second) for parent, name, (first, second) in kept],
        paths=len(paths),
        omitted=omitted,
        least=least,
        changed=sorted(both, key=lambda item: -abs(item[2] - scale * item[1]))[:_HOTTEST],
    )


def _grow(
    paths: Mapping[str, tuple[int, ...]], *, runs: int, most: int
) -> tuple[list[TreeNode], int, int]:
    """At most so many nodes, how many are left out, and what each of these has less than."""
    nodes = _add_paths(paths, runs=runs)
    least = _find_least(nodes, most)
    kept = _drop_small(nodes, least)
    return kept, len(nodes) - len(kept), least


def _add_up(metrics: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, ...]]:
    """By call path, its value in each of the runs whose records these are."""
    paths: dict[str, list[int]] = {}
    for run, metric in enumerate(metrics):
        for line in fold_stacks([metric]):
            path, _, number = line.rpartition(" ")
            if int(number) > 0:
                paths.setdefault(path, [0] * len(metrics))[run] += int(number)
    return {path: tuple(values) for path, values in paths.items()}


def _add_paths(paths: Mapping[str, tuple[int, ...]], *, runs: int) -> list[TreeNode]:
    """All nodes in the order in which they are met."""
    nodes: list[tuple[int, str]] = [(-1, "all")]
    found: dict[tuple[int, str], int] = {}
    sums = [[0] * runs]
    for path, values in paths.items():
        at = 0
        _add_to(sums[0], values)
        for name in path.split(";"):
            following = found.setdefault((at, name), len(nodes))
            if following == len(nodes):
                nodes.append((at, name))
                sums.append([0] * runs)
            at = following
            _add_to(sums[at], values)
    return [(parent, name, tuple(total)) for (parent, name), total in zip(nodes, sums, strict=True)]


def _add_to(total: list[int], values: Sequence[int]) -> None:
    for run, value in enumerate(values):
        total[run] += value


def _find_least(nodes: Sequence[TreeNode], most: int) -> int:
    if len(nodes) <= most:
        return 0
    return sorted((sum(values) for _, _, values in nodes), reverse=True)[most] + 1


def _drop_small(nodes: Sequence[TreeNode], least: int) -> list[TreeNode]:
    """Without nodes that have less than `least`: their children have no more than they do."""
    places = {-1: -1}
    kept: list[TreeNode] = []
    for index, (parent, name, values) in enumerate(nodes):
        if sum(values) >= least or index == 0:
            places[index] = len(kept)
            kept.append((places[parent], name, values))
    return kept
