"""Histograms for charts: buckets with both edges."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchestrator.fleet.histograms import HistogramLayout, find_layout
from orchestrator.html_report.budget import Budget
from orchestrator.html_report.cell_text import describe_cell
from orchestrator.html_report.markup import clean_value

__all__ = ["clean_buckets", "layout_of", "list_buckets", "list_histograms", "lower_edge"]

Bucket = tuple[int, int, int]


def lower_edge(layout: HistogramLayout, edge: int) -> int:
    """The least value of the bucket whose largest is `edge`."""
    buckets = layout.buckets
    if buckets is None:
        return edge - layout.step + 1
    return buckets.lower_edge(buckets.index(edge))


def layout_of(metric: Mapping[str, Any]) -> HistogramLayout:
    """How a histogram divides values."""
    layout = find_layout(metric["layout"])
    assert layout is not None, "checked when the result was read"
    return layout


def list_buckets(metric: Mapping[str, Any], cell: Mapping[str, Any]) -> list[Bucket]:
    """Least value, largest value and count of each bucket that is not empty."""
    layout = layout_of(metric)
    return [(lower_edge(layout, edge), edge, count) for edge, count in cell["buckets"]]


def list_histograms(metric: Mapping[str, Any], budget: Budget) -> tuple[list[Any], int]:
    """Label, values below and above, and buckets of the largest cells, as long as they have room;
    and how many cells are left out."""
    shown: list[Any] = []
    cells: Sequence[Mapping[str, Any]] = metric["cells"]
    for cell in cells:
        entry = [
            clean_value(describe_cell(cell)) or "all",
            cell["below"],
            cell["above"],
            clean_buckets(list_buckets(metric, cell)),
        ]
        if not budget.takes(entry):
            break
        shown.append(entry)
    return shown, len(cells) - len(shown)


def clean_buckets(buckets: Iterable[Bucket]) -> list[Any]:
    """For the page's script, which draws them as numbers: beyond 2^53 they are rounded."""
    return [[float(low), float(high), count] for low, high, count in buckets]
