"""The rows of a check's table: value, spread, bound, baseline, verdict; or of two sides, A, B,
their ratio, bound, what shows and how likely it is by chance, verdict. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from orchestrator.check.expectation.claim import read_claim
from orchestrator.check.verdict.model import CheckVerdict, ExpectationVerdict, JudgedSeries
from orchestrator.check.verdict.time_wording import show_share
from orchestrator.check.verdict.wording import show_number
from orchestrator.output.terminal.human_units import format_amount

__all__ = ["VerdictRow", "list_headings", "list_remarks", "list_rows"]

_HEADINGS = ("expectation", "value", "spread", "bound", "baseline", "verdict")
#: `shows`: the smallest change of a time that shows. Counts have no p; they are exact, or vary.
_SIDE_HEADINGS = ("expectation", "A", "B", "B / A", "bound", "p", "shows", "verdict")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRow:
    """One row, its texts in the order of its headings; `is_good`: the expectation holds."""

    texts: tuple[str, ...]
    is_good: bool


def list_headings(verdict: CheckVerdict) -> tuple[str, ...]:
    """The headings of the table; all but the first and the last column are figures."""
    return _HEADINGS if verdict.sides is None else _SIDE_HEADINGS


def list_rows(verdict: CheckVerdict) -> Iterator[VerdictRow]:
    """One row for each expectation, or for each of its cells."""
    for judged in verdict.expectations:
        if not judged.series:
            blank = [""] * (len(list_headings(verdict)) - 3)
            texts = (judged.expectation.name, "-", *blank, _show_verdict(judged))
            yield VerdictRow(texts=texts, is_good=judged.verdict == "ok")
        for series in judged.series:
            figures = _show_figures if verdict.sides is None else _show_side_figures
            yield _make_row(judged, series, figures(judged, series))


def _make_row(
    judged: ExpectationVerdict, series: JudgedSeries, figures: tuple[str, ...]
) -> VerdictRow:
    name = judged.expectation.name
    holds = series.holds or judged.verdict != "fail"
    shown = _show_verdict(judged) if not (series.holds and judged.verdict == "fail") else "ok"
    if series.is_blunt and shown == "ok":
        shown = "ok, blunt"
    return VerdictRow(
        texts=(f"{name} ({series.label})" if series.label else name, *figures, shown),
        is_good=holds and judged.verdict in ("ok", "fail"),
    )


def _show_figures(judged: ExpectationVerdict, series: JudgedSeries) -> tuple[str, ...]:
    return (
        show_number(series.value),
        _show_spread(series),
        _show_bounds(judged, series),
        "" if series.baseline is None else show_number(series.baseline),
    )


def _show_side_figures(judged: ExpectationVerdict, series: JudgedSeries) -> tuple[str, ...]:
    base = series.baseline
    looks = [outcome.first for outcome in series.times]
    shows = [show_share(look.samples.detectable) for look in looks]
    return (
        "" if base is None else _show_value(series, base),
        _show_value(series, series.value),
        f"{float(series.value / base):.4g}" if base else "",
        _show_bounds(judged, series),
        ", ".join(f"{look.p:.2g}" for look in looks),
        ", ".join(dict.fromkeys(shows)) if shows else _show_spread(series),
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
    return ", ".join(f"{bound.op} {_show_value(series, value)}" for bound, value in pairs)


def _show_value(series: JudgedSeries, value: Fraction) -> str:
    """Times that were compared are in ns."""
    return format_amount(float(value), "ns") if series.times else show_number(value)


def list_remarks(verdict: CheckVerdict) -> Iterator[str]:
    """What is to be said below the table: why something is not ok, and notes."""
    for judged in verdict.expectations:
        texts: Sequence[str] = (*judged.reasons, *judged.notes)
        for text in dict.fromkeys(texts):
            yield f"{judged.expectation.name}: {text}"
    yield from verdict.warnings
