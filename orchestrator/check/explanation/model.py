"""What explains a failure: cells that grew, and records."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Literal

from orchestrator.check.measurement import CellValue
from orchestrator.check.model import Expectation
from orchestrator.values import dataclass

__all__ = ["MAX_RECORDS", "Explanation", "GrownCell", "Growth", "KeptRecords"]

#: How many records explain one expectation at most.
MAX_RECORDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class GrownCell:
    """A cell of a metric (PROBE.METRIC, or PROBE.METRIC.NUMBER as the expectation names it).
    `key`, `names` as in MeasuredCell; `value`: in the repeat that failed; `before`: what it is
    compared with (None: with nothing)."""

    metric: str
    key: Mapping[str, CellValue]
    names: Mapping[str, str]
    value: Fraction
    before: Fraction | None

    @property
    def growth(self) -> Fraction | None:
        """By how much it is more than before."""
        return None if self.before is None else self.value - self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """The cells that moved the value across its bound, the largest first. `compared_with`: the
    baseline, or without one the bound; nothing: the bound is not one of single cells, and the cells
    are the largest. `omitted`: how many further ones there are."""

    compared_with: Literal["baseline", "bound", "nothing"]
    cells: tuple[GrownCell, ...]
    omitted: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRecords:
    """Records of events that an expectation counts, as the log has them (event.recorded), at most
    MAX_RECORDS: those of cells that grew, or where there are none those of all its cells. `seen`:
    how many there were of them in the records that were looked at;
    `unavailable_because`: why there are none, "" where there are, or there was nothing to see."""

    records: tuple[Mapping[str, Any], ...] = ()
    seen: int = 0
    unavailable_because: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why one expectation failed, as far as it can be shown."""

    expectation: Expectation
    growth: Growth
    records: KeptRecords
