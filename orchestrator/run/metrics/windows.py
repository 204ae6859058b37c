"""Windows of metrics: what was counted between two moments, from the totals at both.

count, sum, avg, buckets and percentiles of a window are of that window alone. The kernel keeps the
least and the largest value since the run began, which cannot be subtracted: `min` and `max` in a
window are those of the run so far, in cells that counted anything within it.
"""

from collections.abc import Iterable

from orchestrator.cells.cell import Cell
from orchestrator.plan.model import Plan
from orchestrator.run.metrics.reading import Totals

__all__ = ["STOP_WINDOW_NS", "choose_window_ns", "subtract_cells", "subtract_totals"]

#: How often `stop_when` is evaluated in a plan without `every`.
STOP_WINDOW_NS = 1_000_000_000


def choose_window_ns(plan: Plan, every_ns: int | None) -> int | None:
    """The length of a run's windows, `every` of its program or what `stop_when` needs; None: it has
    none."""
    return every_ns or (STOP_WINDOW_NS if plan.stop_when is not None else None)


def subtract_totals(now: Totals, before: Totals) -> dict[int, list[Cell]]:
    """What was counted between two totals of one run; cells that did not change are left out."""
    return {metric: subtract_cells(cells, before.get(metric, ())) for metric, cells in now.items()}


def subtract_cells(now: Iterable[Cell], before: Iterable[Cell]) -> list[Cell]:
    """The cells of one metric that changed, each less what it was."""
    old = {cell.key: cell for cell in before}
    cells = (cell.minus(old.get(cell.key, Cell(key=cell.key))) for cell in now)
    return [cell for cell in cells if not cell.is_empty]
