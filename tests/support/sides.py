"""Two sides of a check with invented measurements, and what they come to."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from orchestrator.check.document.load import require_check
from orchestrator.check.measurement import MeasuredCell, Measurement, Repeat
from orchestrator.check.model import Check
from orchestrator.check.sides import CheckSides, SideChoice
from orchestrator.check.times.looks import decide_times
from orchestrator.check.times.samples import TimeSamples
from orchestrator.check.verdict.judge import judge_sides
from orchestrator.check.verdict.model import CheckVerdict
from orchestrator.check.verdict.time_gates import TimeGate, list_time_gates
from orchestrator.plan.document.parse import parse_document
from tests.support.checks import check_text
from tests.support.measurements import measured, repeat

#: Two measurements: side A, side B.
Pair = tuple[Measurement, Measurement]
PARAM = "params: {build: {type: path}}\n"


def two_sides(*expectations: str, workload: str = "run: [$(params.build)]") -> CheckSides:
    """A check whose sides are ./old and ./new."""
    text = check_text(*expectations, workload=workload, before=PARAM)
    document, findings = parse_document(text.encode(), "check.yaml")
    base, candidate = (
        require_check(document, list(findings), settings={"build": build}, sided=True)
        for build in ("./old", "./new")
    )
    choice = SideChoice(param="build", values=("./old", "./new"))
    return CheckSides(choice=choice, base=base, candidate=candidate)


def time_repeats(check: Check, values: Sequence[int], **changes: Any) -> tuple[Repeat, ...]:
    """Repeats that took so long; everything else is the same in all of them."""
    return tuple(
        repeat(
            {"write.calls": 5, "write.took": [took(value)]},
            check,
            **{"wall_ns": value, **changes},
        )
        for value in values
    )


def took(value: int, count: int = 5) -> MeasuredCell:
    """A sum of times."""
    return MeasuredCell(key={}, value=value, sum=value, count=count)


def measure_pair(sides: CheckSides, a: Sequence[Any], b: Sequence[Any], **changes: Any) -> Pair:
    """Both measurements, of values in ns or of whole repeats. `changes`: those of side B."""
    base, candidate = (
        value if isinstance(value[0], Repeat) else time_repeats(check, value)
        for check, value in ((sides.base, a), (sides.candidate, b))
    )
    return measured(sides.base, *base), measured(sides.candidate, *candidate, **changes)


class Prepared:
    """A source of one check's comparisons: a pair of measurements for each time that it is asked,
    and the last one from then on. After `extend` the pair has all repeats."""

    def __init__(self, sides: CheckSides, *pairs: Pair) -> None:
        self.sides, self.pairs = sides, list(pairs)

    def begin(self, gates: Collection[TimeGate] | None) -> Mapping[TimeGate, TimeSamples]:
        del gates
        return list_time_gates(self.sides, self._next(), {})

    def extend(self, gates: Collection[TimeGate]) -> Mapping[TimeGate, TimeSamples]:
        return self.begin(gates)

    def _next(self) -> Pair:
        return self.pairs.pop(0) if len(self.pairs) > 1 else self.pairs[0]


def judge_pairs(sides: CheckSides, *pairs: Pair) -> CheckVerdict:
    """The verdict on the first of these measurements, its times as all of them decide."""
    outcomes = decide_times(Prepared(sides, *pairs))
    return judge_sides(sides, pairs[0], outcomes)
