"""The table at the end of a test session: what was measured, and its bounds. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from orchestrator.values import dataclass

__all__ = ["SummaryTable"]

_HEADINGS = ("plan", "expectation", "value", "bound", "tests", "verdict")


@dataclass(slots=True)
class _Row:
    """One expectation of one plan, in all tests that have it."""

    bound: str = ""
    values: dict[str, None] = field(default_factory=dict)
    verdicts: list[str] = field(default_factory=list)

    def texts(self) -> tuple[str, str, str, str]:
        values = list(self.values)
        shown = ", ".join(values) if len(values) <= 3 else f"{', '.join(values[:3])}, …"
        counts = {name: self.verdicts.count(name) for name in dict.fromkeys(self.verdicts)}
        tests = len(self.verdicts)
        parts = [name if number == tests else f"{number} {name}" for name, number in counts.items()]
        return shown or "-", self.bound, str(tests), ", ".join(parts)


class SummaryTable:
    """Collects results of tests, also those of other processes."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], _Row] = {}

    def add(self, results: Sequence[Mapping[str, Any]]) -> None:
        """The results of one test (helper verdicts as texts)."""
        for one in results:
            row = self._rows.setdefault((one["plan"], one["that"]), _Row())
            row.bound = one["bound"] or row.bound
            row.verdicts.append("FAIL" if one["verdict"] == "fail" else one["verdict"])
            if one["value"]:
                row.values[one["value"]] = None

    def lines(self) -> Iterator[str]:
        """The table; nothing where nothing was measured."""
        if not self._rows:
            return
        rows = [_HEADINGS, *((*key, *row.texts()) for key, row in self._rows.items())]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
        for row in rows:
            padded = (text.ljust(width) for text, width in zip(row, widths, strict=True))
            yield "  ".join(padded).rstrip()
