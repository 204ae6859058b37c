"""Judges a block as a check is judged: validity first, then the comparison. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from orchestrator.check.expectation.claim import compares_with_baseline, read_claim
from orchestrator.check.expectation.constants import constants_of
from orchestrator.check.expectation.exact import UnlikeKey
from orchestrator.check.expectation.figures import (
    SubjectReader,
    counted_from_repeat,
    key_of_cell,
)
from orchestrator.check.expectation.meaning import check_expectations
from orchestrator.check.expectation.references import PlanNames, read_reference
from orchestrator.check.measurement import MeasuredCell, Measurement, Repeat
from orchestrator.check.model import Check, Expectation, Workload
from orchestrator.check.verdict.judge import judge_check
from orchestrator.check.verdict.model import ExpectationVerdict
from orchestrator.check.verdict.wording import show_number
from orchestrator.plan.document.finding_collector import FindingCollector
from orchestrator.plan.expression.parse import parse
from orchestrator.plan.expression.syntax import Compare, Expr, Logic, Number, SyntaxNode, walk
from orchestrator.plan.findings import PlanError, Position, has_errors
from orchestrator.plan.model import Plan
from orchestrator.plan.printable import make_printable
from orchestrator.pytest_plugin.helper.attached import make_collector
from orchestrator.values import dataclass

__all__ = ["BlockJudge", "ExpectationText"]

_WORKLOAD = Workload(run=("pytest",), warmup=0, repeats=1)
_SHOWN_CELLS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectationText:
    """What a test expects, or the value that it asks for, and where that is written."""

    text: str
    position: Position


class BlockJudge:
    """Reads and judges the expectations about one plan, on a machine of architecture `arch`."""

    def __init__(self, plan: Plan, arch: str) -> None:
        self._plan, self._names = plan, PlanNames(plan)
        self._constants = constants_of(arch)
        self._reader = SubjectReader(names=self._names, params={}, constants=self._constants)

    # -- reading -------------------------------------------------------------------------------

    def read_expectations(self, texts: Sequence[ExpectationText]) -> tuple[Expectation, ...]:
        """The expectations of a mark. Raises PlanError with the findings of all of them."""
        return self._require_good([self._parse(one) for one in texts])

    def read_value(self, text: ExpectationText) -> Expectation:
        """A value that a test asks for, as an expectation about it. Raises PlanError."""
        parsed = self._parse(text)
        if parsed.expr is not None and isinstance(parsed.expr.root, Compare | Logic):
            parsed.collector.add(
                "PP200",
                f"{text.text!r} is a comparison, not a value",
                text.position,
                "ask for the left side, and compare it in the test",
            )
        elif parsed.expr is not None:
            claim = Compare(op=">=", left=parsed.expr.root, right=Number(0))
            parsed = replace(parsed, expr=replace(parsed.expr, root=claim))
        return self._require_good([parsed])[0]

    def _parse(self, one: ExpectationText) -> "_Parsed":
        collector, expr = make_collector(one.position), None
        try:
            expr = parse(one.text, one.position, fractions=True, filters=True)
        except PlanError as error:
            collector.extend(error.findings)
        return _Parsed(expr=expr, collector=collector)

    def _require_good(self, parsed: Sequence["_Parsed"]) -> tuple[Expectation, ...]:
        expectations = []
        for number, one in enumerate(parsed, 1):
            if one.expr is not None:
                name, at = f"e{number}", one.expr.position
                expectation = Expectation(name=name, that=one.expr, position=at)
                check_expectations((expectation,), self._plan, _WORKLOAD, {}, one.collector)
                self._check_is_about_blocks(one.expr, one.collector)
                expectations.append(expectation)
        findings = [finding for one in parsed for finding in one.collector.findings]
        if has_errors(findings):
            raise PlanError(findings)
        return tuple(expectations)

    def _check_is_about_blocks(self, expr: Expr, collector: FindingCollector) -> None:
        """What only a command has: a baseline, and times and memory of its process."""
        for node in walk(expr.root):
            reference = read_reference(node)
            parts = () if reference is None else reference.parts
            of_process = parts[:1] == ("workload",) and parts != ("workload", "wall")
            if of_process and len(parts) == 2 and "workload" not in self._names.metrics:
                message = f"{'.'.join(parts)} is a command's: a test is a part of a process"
                hint = "a check measures a command; of a test only workload.wall is known"
                collector.add("PP072", message, expr.place(node), hint)
        if compares_with_baseline(expr.root):
            hint = "compare it with a number; a check has baselines"
            collector.add("PP202", "a test has no `baseline`", expr.position, hint)

    # -- judging -------------------------------------------------------------------------------

    def judge(
        self, expectations: Sequence[Expectation], measurement: Measurement
    ) -> tuple[ExpectationVerdict, ...]:
        """The verdicts on what a block did, in their order."""
        check = self._make_check(tuple(expectations))
        return judge_check(check, measurement, None, self._constants).expectations

    def _make_check(self, expectations: tuple[Expectation, ...]) -> Check:
        position = expectations[0].position
        return Check(
            name=self._plan.metadata.name,
            path=position.file,
            here=Path(position.file).parent,
            metadata=self._plan.metadata,
            plan_source=self._plan.metadata.name,
            plan=self._plan,
            settings={},
            params={},
            workload=_WORKLOAD,
            expectations=expectations,
            baseline=Path("/dev/null"),
            position=position,
        )

    # -- for people ----------------------------------------------------------------------------

    def describe(self, verdict: ExpectationVerdict, repeat: Repeat) -> dict[str, Any]:
        """A verdict as texts, with the cells that were counted where it does not hold."""
        expectation = verdict.expectation
        bounds = read_claim(expectation.that).bounds
        series = verdict.series[0] if verdict.series else None
        limits = zip(bounds, series.bounds, strict=True) if series else ()
        return {
            "verdict": verdict.verdict,
            "that": expectation.that.text,
            "at": str(expectation.position),
            "reasons": list(verdict.reasons),
            "value": show_number(series.value) if series else "",
            "exact": _pair(series.value) if series else None,
            "bound": ", ".join(f"{bound.op} {show_number(limit)}" for bound, limit in limits),
            "cells": list(self._list_cells(expectation, repeat))
            if verdict.verdict == "fail"
            else [],
        }

    def _list_cells(self, expectation: Expectation, repeat: Repeat) -> Iterator[str]:
        subject = read_claim(expectation.that).subject
        cells = sorted(self._select_cells(subject, repeat), key=_by_count, reverse=True)
        yield from (f"{_show_key(cell)}: {cell.count:,}" for cell in cells[:_SHOWN_CELLS])
        if len(cells) > _SHOWN_CELLS:
            yield f"and {len(cells) - _SHOWN_CELLS:,} more"

    def _select_cells(self, subject: SyntaxNode, repeat: Repeat) -> list[MeasuredCell]:
        """The cells with a key that a value reads, of the first metric that it names."""
        counted = counted_from_repeat(repeat)
        metric = next(self._names.list_metrics(subject), None)
        try:
            keys = set(self._reader.list_keys(subject, counted))
        except UnlikeKey:
            return []
        if metric is None:
            return []
        cells = counted.cells.get((metric.owner, metric.metric.name), ())
        return [cell for cell in cells if cell.key and key_of_cell(cell) in keys]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parsed:
    """An expression, None where it could not be read, with the findings about it."""

    expr: Expr | None
    collector: FindingCollector


def _by_count(cell: MeasuredCell) -> int:
    return cell.count


def _show_key(cell: MeasuredCell) -> str:
    key: Mapping[str, Any] = cell.key or {}
    parts = (f"{name} {cell.names.get(name, value)}" for name, value in key.items())
    return make_printable(", ".join(parts))


def _pair(value: Fraction) -> list[int]:
    return [value.numerator, value.denominator]
