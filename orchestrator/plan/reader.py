"""Reads values from a checked document: what is there has the schema's type, the rest is absent.

Every method takes the path of a value and returns it in the model's terms; what cannot be used is
reported to the collector and replaced by a default, so that one pass finds every problem.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from orchestrator.plan import units
from orchestrator.plan.document.document_paths import DocumentPath
from orchestrator.plan.document.finding_collector import FindingCollector
from orchestrator.plan.expression.parse import parse
from orchestrator.plan.expression.substitute import fill_texts, place_at_start
from orchestrator.plan.expression.syntax import Expr, Number
from orchestrator.plan.findings import PlanError, Position
from orchestrator.plan.model import Param, Rate
from orchestrator.plan.params import Unset, interpolate_params, text_values
from orchestrator.plan.units import UnitError

T = TypeVar("T")


class DocumentReader:
    """Access to a document's values by path, with the params that they may refer to."""

    def __init__(
        self, data: Mapping[str, Any], params: Mapping[str, Param], collector: FindingCollector
    ) -> None:
        self.data, self.params, self.collector = data, params, collector

    def get(self, path: DocumentPath, default: Any = None) -> Any:
        """The raw value at `path`, or `default`."""
        value: Any = self.data
        for step in path:
            if isinstance(step, str) and (not isinstance(value, dict) or step not in value):
                return default
            value = value[step]
        return value

    def place(self, path: DocumentPath) -> Position:
        """The position of the value at `path`."""
        return self.collector.document.value_position(path)

    def quantity(self, path: DocumentPath, read: Callable[[str], T], default: T) -> T:
        """A number with a unit, read by `read`."""
        raw = self.get(path)
        return default if raw is None else self.read_quantity_text(str(raw), path, read, default)

    def rate(self, path: DocumentPath) -> Rate | None:
        """A rate: text such as 1k/s, or a mapping of `per` (such text) and `burst` (a count). None:
        there is none, or it cannot be read."""
        raw = self.get(path)
        if not isinstance(raw, dict):
            return self.quantity(path, units.parse_rate, None)
        rate = self.quantity((*path, "per"), units.parse_rate, None)
        if rate is None:
            return None
        return self.quantity((*path, "burst"), partial(units.add_burst, rate), rate)

    def read_quantity_text(
        self, text: str, path: DocumentPath, read: Callable[[str], T], default: T
    ) -> T:
        """`text`, the value at `path`, read by `read`."""
        try:
            return read(text)
        except UnitError as error:
            code = "PP041" if error.absurd else "PP040"
            self.collector.add(code, f"{path[-1]}: {error}", self.place(path), error.hint)
            return default

    def expression(
        self, path: DocumentPath, *, fractions: bool = False, filters: bool = False
    ) -> Expr | None:
        """The expression at `path`; None when there is none or it cannot be parsed."""
        raw = self.get(path)
        if raw is None:
            return None
        text = str(raw).lower() if isinstance(raw, bool) else str(raw)
        return self.parse_text(text, path, fractions=fractions, filters=filters)

    def parse_text(
        self, text: str, path: DocumentPath, *, fractions: bool = False, filters: bool = False
    ) -> Expr | None:
        """`text`, the value at `path` or what it was filled with, as an expression; None when it
        cannot be parsed."""
        folded = path in self.collector.document.folded
        try:
            parsed = parse(text, self.place(path), fractions=fractions, filters=filters)
            expr = fill_texts(parsed, text_values(self.params))
        except PlanError as error:
            findings = error.findings
            if folded:
                findings = tuple(
                    replace(finding, position=self.place(path)) for finding in findings
                )
            self.collector.extend(findings)
            return None
        return place_at_start(expr) if folded else expr

    def expressions(self, path: DocumentPath) -> dict[str, Expr]:
        """A mapping of names to expressions. One that cannot be parsed is 0 instead, so that its
        name is known and what uses it is not reported too."""
        return {
            name: self.expression((*path, name)) or self._stand_in((*path, name))
            for name in self.get(path, {})
        }

    def _stand_in(self, path: DocumentPath) -> Expr:
        return Expr(text="0", root=Number(0), position=self.place(path))

    def names(self, path: DocumentPath) -> tuple[str, ...]:
        """One name, or a list of them."""
        raw = self.get(path, ())
        return (raw,) if isinstance(raw, str) else tuple(raw)

    def filled_text(self, path: DocumentPath) -> str | None:
        """The text at `path` with its params; None when refused. Raises Unset."""
        return interpolate_params(
            str(self.get(path)), self.place(path), self.params, self.collector
        )

    def texts(self, path: DocumentPath) -> list[tuple[str, DocumentPath]]:
        """The text or list of texts at `path`, with their params; without texts whose param has no
        value."""
        raw = self.get(path, [])
        paths = [(*path, index) for index in range(len(raw))] if isinstance(raw, list) else [path]
        filled = []
        for item in paths:
            try:
                text = self.filled_text(item)
            except Unset:
                continue
            if text is not None:
                filled.append((text, item))
        return filled
