"""The rows of a check's table: value, spread, bound, baseline, verdict. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from orchestrator.check.expectation.claim import read_claim
from orchestrator.check.verdict.model import CheckVerdict, ExpectationVerdict, JudgedSeries

__all__ = ["HEADINGS", "VerdictRow", "list_remarks", "list_rows"]

HEADINGS = ("expectation", "value", "spread", "bound", "baseline", "verdict")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRow:
    """One row, its texts in the order of HEADINGS; `is_good`: the expectation holds."""

    texts: tuple[str, ...]
    is_good: bool


def list_rows(verdict: CheckVerdict) -> Iterator[VerdictRow]:
    """One row for each expectation, or for each of its cells."""
    for judged in verdict.expectations:
        if not judged.series:
            texts = (judged.expectation.name, "-", "", "", "", _show_verdict(judged))
            yield VerdictRow(texts=texts, is_good=judged.verdict == "ok")
        for series in judged.series:
            yield _series_row(judged, series)


def _series_row(judged: ExpectationVerdict, series: JudgedSeries) -> VerdictRow:
    name = judged.expectation.name
    holds = series.holds or judged.verdict != "fail"
    return VerdictRow(
        texts=(
            f"{name} ({series.label})" if series.label else name,
            show_number(series.value),
            _show_spread(series),
            _show_bounds(judged, series),
            "" if series.baseline is None else show_number(series.baseline),
            _show_verdict(judged) if not (series.holds and judged.verdict == "fail") else "ok",
        ),
        is_good=holds and judged.verdict in ("ok", "fail"),
    )


def _show_verdict(judged: ExpectationVerdict) -> str:
    if judged.verdict == "fail":
        return "FAIL" if judged.expectation.severity == "fail" else "fails (warn)"
    return judged.verdict


def _show_spread(series: JudgedSeries) -> str:
    if len(series.values) > 1 and series.is_exact:
        return "exact"
    if series.is_exact:
        return ""
    low, high = min(series.values), max(series.values)
    share = f" ({float((high - low) / series.value) * 100:.2g}%)" if series.value else ""
    return f"{show_number(low)} to {show_number(high)}{share}"


def _show_bounds(judged: ExpectationVerdict, series: JudgedSeries) -> str:
    bounds = read_claim(judged.expectation.that).bounds
    pairs = zip(bounds, series.bounds, strict=True)
    return ", ".join(f"{bound.op} {show_number(value)}" for bound, value in pairs)


def list_remarks(verdict: CheckVerdict) -> Iterator[str]:
    """What is to be said below the table: why something is not ok, and notes."""
    for judged in verdict.expectations:
        texts: Sequence[str] = (*judged.reasons, *judged.notes)
        for text in dict.fromkeys(texts):
            yield f"{judged.expectation.name}: {text}"
    yield from verdict.warnings


def show_number(value: Fraction) -> str:
    """Whole numbers exactly; others with six digits."""
    return f"{value.numerator:,}" if value.denominator == 1 else f"{float(value):,.6g}"
