"""From judged series to the verdict on their expectation, with its reasons and notes."""

from collections.abc import Sequence

from orchestrator.check.model import Expectation
from orchestrator.check.sides import SIDE_NAMES
from orchestrator.check.verdict.model import ExpectationVerdict, JudgedSeries, Verdict
from orchestrator.check.verdict.seeds import describe_noise
from orchestrator.check.verdict.time_wording import describe_worse, list_time_doubts, list_time_gaps
from orchestrator.check.verdict.wording import name_series, show_number

__all__ = ["conclude"]


def conclude(
    expectation: Expectation, judged: tuple[JudgedSeries, ...], *, is_stored: bool
) -> ExpectationVerdict:
    """The verdict on valid figures. `is_stored`: their baseline was recorded. `resolve: strict`
    leaves undecided what is too unsteady or too noisy for the bound."""
    is_strict = expectation.resolve == "strict"
    varying = [series for series in judged if series.varies]
    gaps = [gap for series in judged for gap in list_time_gaps(series)]
    broken = [series for series in judged if not series.holds]
    verdict: Verdict = "ok"
    reasons: list[str] = []
    if is_strict and varying:
        verdict = "inconclusive"
        reasons = [f"repeats disagree about the bound: {_show_spread(one)}" for one in varying]
    elif broken:
        verdict = "fail"
        what = "the baseline" if is_stored else f"side {SIDE_NAMES[0]}"
        reasons = [_describe_failure(expectation, series, what) for series in broken]
    else:
        reasons = [doubt for series in judged for doubt in list_time_doubts(series)]
        reasons += gaps if is_strict else ()
        verdict = "inconclusive" if reasons else "ok"
    notes = [f"varies: {_show_spread(series)}" for series in varying]
    notes += _list_improvements(judged, is_stored=is_stored)
    notes += dict.fromkeys(filter(None, map(describe_noise, judged)))
    return ExpectationVerdict(
        expectation=expectation,
        verdict=verdict,
        reasons=tuple(reasons),
        notes=(*notes, *(gap for gap in gaps if gap not in reasons)),
        series=judged,
    )


def _list_improvements(judged: Sequence[JudgedSeries], *, is_stored: bool) -> list[str]:
    found = [f"improved{name_series(series)}" for series in judged if series.improved]
    return [f"{text}: record it" for text in found] if is_stored else found


def _show_spread(series: JudgedSeries) -> str:
    low, high = min(series.values), max(series.values)
    return f"{show_number(low)} to {show_number(high)}{name_series(series)}"


def _describe_failure(expectation: Expectation, series: JudgedSeries, compared_with: str) -> str:
    head = f"{expectation.that.text}{name_series(series)}: "
    worse = [describe_worse(outcome) for outcome in series.times if outcome.is_worse]
    if worse:
        return head + "; ".join(worse)
    seen = ", ".join(map(show_number, dict.fromkeys(series.values)))
    bounds = " and ".join(map(show_number, series.bounds))
    compared = f"the bound{'s are' if len(series.bounds) > 1 else ' is'} {bounds}"
    recorded = ""
    if series.baseline is not None:
        recorded = f", {compared_with} {show_number(series.baseline)}"
    return f"{head}{seen} was measured, {compared}{recorded}"
