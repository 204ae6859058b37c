"""Histograms by upper edges: their layouts, and percentiles that are those of the log."""

import random

import pytest

from orchestrator.cells.buckets import LOG, Buckets
from orchestrator.fleet.histograms import find_layout, find_percentiles
from orchestrator.output.percentiles import PERCENTILES, percentile

LINEAR = Buckets(kind="linear", low=-10, high=95, step=10)
LAYOUTS = {"log(16)": LOG, "linear(-10, 95, 10)": LINEAR, "linear(0, 1000000, 7)": None}


@pytest.mark.parametrize("name", LAYOUTS)
def test_percentiles_are_those_of_the_log(name: str) -> None:
    """Also of a layout with so many buckets that their middles are not listed."""
    buckets = LAYOUTS[name] or Buckets(kind="linear", low=0, high=1_000_000, step=7)
    layout = find_layout(name)
    assert layout is not None
    chance = random.Random(1)  # noqa: S311 - repeatable
    for _ in range(50):
        counts = {
            chance.randrange(min(buckets.count, 900)): chance.randint(1, 50) for _ in "abcdef"
        }
        below, above = chance.choice((0, 3)), chance.choice((0, 2))
        count = below + above + sum(counts.values())
        indexes = sorted(counts)
        edges = [buckets.upper_edge(index) for index in indexes]
        assert layout.has_edges(edges)
        found = find_percentiles(
            edges,
            [counts[index] for index in indexes],
            layout,
            list(PERCENTILES.values()),
            count=count,
            below=below,
        )
        for permille, value in zip(PERCENTILES.values(), found, strict=True):
            wanted = percentile(counts, permille, below=below, above=above, buckets=buckets)
            assert value == wanted


def test_edges_of_another_layout_are_noticed() -> None:
    log, linear = find_layout("log(16)"), find_layout("linear(-10, 95, 10)")
    assert log is not None
    assert linear is not None
    assert not log.has_edges([15, 1055])
    assert log.has_edges([15, 16, 1087])
    assert linear.has_edges([-1, 89, 94]), "the last bucket is cut short"
    assert not linear.has_edges([99])
    assert not linear.has_edges([88])


@pytest.mark.parametrize(
    "name", ["", "log(8)", "linear(5, 5, 1)", "linear(0, 9, 0)", "linear(0,9,1)", "log(16) "]
)
def test_a_layout_that_is_not_known_is_none(name: str) -> None:
    assert find_layout(name) is None
