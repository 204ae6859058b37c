"""Which records explain a failure: those of events that its expectation counts, and first those of
cells that grew. Pure."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from orchestrator.check.expectation.exact import UnlikeKey, evaluate_filter
from orchestrator.check.expectation.references import MetricReference
from orchestrator.check.explanation.model import Growth
from orchestrator.check.explanation.recording import counted_field, key_field
from orchestrator.check.measurement import CellValue
from orchestrator.plan.expression.names import find_stack
from orchestrator.values import dataclass

__all__ = ["RecordRank", "RecordSelection", "grown_keys"]

#: grown: of a cell that grew; counted: of another one that the expectation reads.
RecordRank = Literal["grown", "counted"]
_Key = frozenset[tuple[str, CellValue]]


def grown_keys(growth: Growth) -> frozenset[_Key]:
    """The keys of the cells that grew, without their stacks, which records do not name yet."""
    if growth.compared_with == "nothing":
        return frozenset()
    return frozenset(_comparable(cell.key) for cell in growth.cells)


def _comparable(key: Mapping[str, CellValue]) -> _Key:
    return frozenset((name, part) for name, part in key.items() if not find_stack(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSelection:
    """The choice for one expectation. `references`: the metrics that it reads; `grown` as
    `grown_keys` makes it; `params`, `constants`: the values of names in filters."""

    references: tuple[MetricReference, ...]
    grown: frozenset[_Key]
    params: Mapping[str, Any] = field(default_factory=dict)
    constants: Mapping[str, int] = field(default_factory=dict)

    def rank(
        self, owner: str, values: Mapping[str, CellValue], names: Mapping[str, str]
    ) -> RecordRank | None:
        """How a record of `owner` with these field values counts; None: it is not counted. `names`:
        of the fields whose number stands for something, its text."""
        found: RecordRank | None = None
        for reference in self.references:
            if reference.owner == owner:
                rank = self._rank_for(reference, values, names)
                found = "grown" if "grown" in (rank, found) else found or rank
        return found

    def _rank_for(
        self,
        reference: MetricReference,
        values: Mapping[str, CellValue],
        names: Mapping[str, str],
    ) -> RecordRank | None:
        metric = reference.metric
        if values.get(counted_field(metric.name), True) is not True:
            return None
        key = {name: values.get(key_field(name)) for name in metric.by}
        named = {name: names[key_field(name)] for name in metric.by if key_field(name) in names}
        if reference.condition is not None and not self._is_meant(reference, key, named):
            return None
        return "grown" if _comparable(key) in self.grown else "counted"

    def _is_meant(
        self,
        reference: MetricReference,
        key: Mapping[str, CellValue],
        names: Mapping[str, str],
    ) -> bool:
        assert reference.condition is not None
        try:
            meant = evaluate_filter(reference.condition, key, self.params, self.constants, names)
        except UnlikeKey:
            return False
        return bool(meant)
