"""What there is to say of times that were compared between two sides."""

import math
from collections.abc import Iterator

from orchestrator.check.times.looks import Look, TimeOutcome
from orchestrator.check.times.samples import TimeSamples
from orchestrator.check.verdict.model import JudgedSeries
from orchestrator.check.verdict.wording import name_series

__all__ = ["describe_worse", "list_time_doubts", "list_time_gaps", "show_share"]


def show_share(value: float) -> str:
    """A relative figure in per cent, with two digits: 3.1 %."""
    return "unknown" if math.isinf(value) else f"{100 * value:.3g} %"


def describe_worse(outcome: TimeOutcome) -> str:
    """A proven failure."""
    again = outcome.again
    repeated = f", and {_show_ratio(again.samples)} when measured again" if again else ""
    return f"side B took {_describe_look(outcome.first)}{repeated}"


def _describe_look(look: Look) -> str:
    samples = look.samples
    what = f"{samples.repeats} repeats a side, p = {look.p:.2g}"
    tolerance = show_share(float(samples.tolerance))
    return f"{_show_ratio(samples)} ({what}; the bound is {tolerance} away)"


def _show_ratio(samples: TimeSamples) -> str:
    ratio = samples.ratio
    return "some time, side A none" if ratio is None else f"{float(ratio):.4g} times as long as A"


def list_time_doubts(series: JudgedSeries) -> Iterator[str]:
    """Why a comparison decides nothing at all, whatever its tolerance."""
    for outcome in series.times:
        look = outcome.first
        if look.is_worse:
            if outcome.again is None:
                yield (
                    f"side B took {_describe_look(look)}{name_series(series)}, and could not be "
                    "measured once more"
                )
        elif look.samples.ratio is None:
            yield (
                f"the median of side A is not above 0{name_series(series)}: there is nothing that "
                "a change could be relative to"
            )
        elif not look.can_fail:
            yield (
                f"{look.samples.repeats} repeats a side cannot prove any change"
                f"{name_series(series)}: raise `repeats`"
            )


def list_time_gaps(series: JudgedSeries) -> Iterator[str]:
    """What is not known of a comparison that did not fail."""
    for outcome in series.times:
        look = outcome.first
        if outcome.is_worse or look.samples.ratio is None:
            continue
        if look.is_worse and outcome.again is not None:
            yield (
                f"not worse again{name_series(series)}: side B took {_describe_look(look)}, and "
                f"{_show_ratio(outcome.again.samples)} when measured again"
            )
        elif look.samples.is_blunt:
            yield _describe_bluntness(look.samples) + name_series(series)
        elif look.samples.is_median_beyond:
            yield (
                f"not proven to be worse{name_series(series)}: side B took {_describe_look(look)}"
            )


def _describe_bluntness(samples: TimeSamples) -> str:
    seen = show_share(samples.detectable)
    needed = samples.repeats_needed
    cure = "no number of repeats would show it"
    if needed is not None:
        cure = f"that would take {needed:,} repeats"
    return (
        f"blunt: the smallest change that {samples.repeats} repeats a side show is {seen}, and the "
        f"bound is {show_share(float(samples.tolerance))} away; {cure}"
    )
