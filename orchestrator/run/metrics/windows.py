"""Windows of metrics: what was counted between two moments, from the totals at both.

count, sum, avg, buckets and percentiles of a window are of that window alone. The kernel keeps the
least and the largest value since the run began, which cannot be subtracted: `min` and `max` in a
window are those of the run so far, in cells that counted anything within it.
"""

from collections.abc import Iterable, Mapping, Sequence

from orchestrator.cells.cell import Cell
from orchestrator.plan.model import Plan

__all__ = ["STOP_WINDOW_NS", "Totals", "difference", "window", "window_ns"]

#: All cells by metric index, as `Session.metrics` gives them.
Totals = Mapping[int, Sequence[Cell]]

#: How often `stop_when` is judged in a plan without `every`.
STOP_WINDOW_NS = 1_000_000_000


def window_ns(plan: Plan, every_ns: int | None) -> int | None:
    """The length of a run's windows, `every` of its program or what `stop_when` needs; None: it has
    none."""
    return every_ns or (STOP_WINDOW_NS if plan.stop_when is not None else None)


def window(now: Totals, before: Totals) -> dict[int, list[Cell]]:
    """What was counted between two totals of one run; cells that did not change are left out."""
    return {metric: difference(cells, before.get(metric, ())) for metric, cells in now.items()}


def difference(now: Iterable[Cell], before: Iterable[Cell]) -> list[Cell]:
    """The cells of one metric that changed, each less what it was."""
    old = {cell.key: cell for cell in before}
    cells = (cell.minus(old.get(cell.key, Cell(key=cell.key))) for cell in now)
    return [cell for cell in cells if not cell.is_empty]
