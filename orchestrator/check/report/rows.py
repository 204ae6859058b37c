"""The rows of a check's table: value, spread, bound, baseline, verdict; or of two sides, A, B,
their ratio, bound, what shows and how likely it is by chance, verdict. Pure."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

from orchestrator.check.baseline.model import WORKLOAD_TIMES
from orchestrator.check.expectation.claim import read_claim
from orchestrator.check.verdict.model import CheckVerdict, ExpectationVerdict, JudgedSeries
from orchestrator.check.verdict.time_wording import show_share
from orchestrator.check.verdict.wording import show_number
from orchestrator.output.terminal.human_units import format_amount
from orchestrator.plan.expression.syntax import BinaryOperation, MemberOf, Name, SyntaxNode
from orchestrator.values import dataclass

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
    show = _choose_form(judged, series)
    return (
        show(series.value),
        _show_spread(series, show),
        _show_bounds(judged, series),
        "" if series.baseline is None else show(series.baseline),
    )


def _show_side_figures(judged: ExpectationVerdict, series: JudgedSeries) -> tuple[str, ...]:
    base, show = series.baseline, _choose_form(judged, series)
    looks = [outcome.first for outcome in series.times]
    shows = [show_share(look.samples.detectable) for look in looks]
    return (
        "" if base is None else show(base),
        show(series.value),
        f"{float(series.value / base):.4g}" if base else "",
        _show_bounds(judged, series),
        ", ".join(f"{look.p:.2g}" for look in looks),
        ", ".join(dict.fromkeys(shows)) if shows else _show_spread(series, show),
    )


def _show_verdict(judged: ExpectationVerdict) -> str:
    if judged.verdict == "fail":
        return "FAIL" if judged.expectation.severity == "fail" else "fails (warn)"
    return judged.verdict


def _show_spread(series: JudgedSeries, show: Callable[[Fraction], str]) -> str:
    if len(series.values) > 1 and series.is_exact:
        return "exact"
    if series.is_exact:
        return ""
    low, high = min(series.values), max(series.values)
    share = f" ({float((high - low) / series.value) * 100:.2g}%)" if series.value else ""
    return f"{show(low)} to {show(high)}{share}"


def _show_bounds(judged: ExpectationVerdict, series: JudgedSeries) -> str:
    bounds, show = read_claim(judged.expectation.that).bounds, _choose_form(judged, series)
    pairs = zip(bounds, series.bounds, strict=True)
    return ", ".join(f"{bound.op} {show(value)}" for bound, value in pairs)


def _choose_form(judged: ExpectationVerdict, series: JudgedSeries) -> Callable[[Fraction], str]:
    """How the numbers of a series are shown: times, in ns, in the unit that reads best."""
    is_time = bool(series.times) or _is_workload_time(read_claim(judged.expectation.that).subject)
    return _show_duration if is_time else show_number


def _is_workload_time(subject: SyntaxNode) -> bool:
    """Of the workload, or of each of its operations."""
    match subject:
        case BinaryOperation(op="/", left=whole, right=Name(id="ops")):
            return _is_workload_time(whole)
        case MemberOf(base=Name(id="workload"), name=name):
            return name in WORKLOAD_TIMES
        case _:
            return False


def _show_duration(value: Fraction) -> str:
    return format_amount(float(value), "ns", digits=6)


def list_remarks(verdict: CheckVerdict) -> Iterator[str]:
    """What is to be said below the table: why something is not ok, and notes."""
    for judged in verdict.expectations:
        texts: Sequence[str] = (*judged.reasons, *judged.notes)
        for text in dict.fromkeys(texts):
            yield f"{judged.expectation.name}: {text}"
    yield from verdict.warnings
