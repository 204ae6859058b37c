"""What a check comes to."""

from collections.abc import Iterable
from fractions import Fraction
from typing import Literal

from orchestrator.check.model import Check, Expectation
from orchestrator.check.sides import SideChoice
from orchestrator.check.times.looks import TimeOutcome
from orchestrator.values import dataclass

__all__ = ["CheckVerdict", "ExpectationVerdict", "JudgedSeries", "Verdict", "find_exit_code"]

#: ok: it holds. fail: it does not. inconclusive: the figures prove neither. workload: the command
#: failed, was ended by a signal or took too long.
Verdict = Literal["ok", "fail", "inconclusive", "workload"]
_EXIT_CODES: dict[Verdict, int] = {"ok": 0, "fail": 1, "inconclusive": 4, "workload": 5}
#: The first that applies is the exit code: a proven failure outranks what could not be decided.
_PRECEDENCE = (6, 2, 3, 1, 5, 4, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedSeries:
    """The values of one figure over the repeats, next to its bounds.

    `label`: the cell or the number of operations that it is of, "" where there is only one series.
    `bounds`: in the order of the comparison. `baseline`: the recorded value that they use.
    `value`: the one that was judged, as `of` says. `varies`: repeats disagree about the bound.
    `improved`: better than the baseline by more than the tolerance allows it to be worse.
    `times`: how the times of two sides compare, for each bound that is about that. Then `values`
    are those of side B, and `baseline` is the median of side A. `is_seeded`: the repeats are those
    of a machine's seeds, each compared with the same seed's before.
    """

    label: str
    values: tuple[Fraction, ...]
    value: Fraction
    bounds: tuple[Fraction, ...]
    baseline: Fraction | None
    holds: bool
    varies: bool
    improved: bool
    times: tuple[TimeOutcome, ...] = ()
    is_seeded: bool = False

    @property
    def is_exact(self) -> bool:
        """Whether all repeats agree."""
        return len(set(self.values)) == 1

    @property
    def is_blunt(self) -> bool:
        """Whether a time may be worse by as much as the tolerance without that being seen."""
        return any(one.is_blunt for one in self.times)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectationVerdict:
    """What one expectation comes to. `reasons`: why it is not ok. `unrecorded`: it is inconclusive
    for its baseline alone, which recording again cures. `notes`: what else there is to say."""

    expectation: Expectation
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    series: tuple[JudgedSeries, ...] = ()
    unrecorded: bool = False

    @property
    def is_blunt(self) -> bool:
        """Whether it is ok, and a change as large as the tolerance might not have been seen."""
        return self.verdict == "ok" and any(series.is_blunt for series in self.series)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckVerdict:
    """What a check comes to. `warnings`: about the check as a whole. `sides`: what its two sides
    are, if it was measured with two; `check` is side B then."""

    check: Check
    expectations: tuple[ExpectationVerdict, ...]
    warnings: tuple[str, ...] = ()
    sides: SideChoice | None = None

    @property
    def may_be_recorded(self) -> bool:
        """Whether the figures are valid, whatever they were compared with."""
        return all(one.verdict in ("ok", "fail") or one.unrecorded for one in self.expectations)

    def list_exit_codes(self, *, inconclusive: Literal["fail", "warn"] = "fail") -> list[int]:
        """The exit codes that the expectations ask for; `severity: warn` asks for none, but for a
        workload that failed."""
        judged = [
            one.verdict
            for one in self.expectations
            if one.expectation.severity == "fail" or one.verdict == "workload"
        ]
        ignored = {"inconclusive"} if inconclusive == "warn" else set()
        return [_EXIT_CODES[verdict] for verdict in judged if verdict not in ignored]


def find_exit_code(codes: Iterable[int]) -> int:
    """The exit code of an invocation: the first of 6, 2, 3, 1, 5, 4, 0 that applies."""
    there = set(codes)
    return next((code for code in _PRECEDENCE if code in there), 0)
