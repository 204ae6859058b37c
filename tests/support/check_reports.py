"""Reports of invented checks: one of each verdict, and texts that no format takes as they are."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from orchestrator.check.measurement import WorkloadTrouble
from orchestrator.check.report.check_report import CheckReport
from orchestrator.check.verdict.judge import judge_check
from tests.support.checks import good_check
from tests.support.measurements import Counts, cell, measured, repeat
from tests.support.sides import judge_pairs, measure_pair, two_sides

BEGAN = datetime(2026, 11, 27, 1, 30, tzinfo=UTC)
#: What ends a line, a field, a cell, a label, an attribute, a tag or a command somewhere.
HOSTILE = 'a\x01\x1b[1m\n::error::b|c<d>&"e"\\f]]>%0A##[g]`h`*i*,j:k\ufffe\udc80'


def check_report(
    *thats: str, counts: Sequence[Counts] = (), name: str = "example", **changes: Any
) -> CheckReport:
    """The report of a check with these expectations, e1, e2 and so on, of which the repeats counted
    this; `changes` are those of the measurement."""
    check = replace(good_check(*thats), name=name)
    repeats = (repeat(one, check) for one in counts)
    return CheckReport(
        check=check,
        verdict=judge_check(check, measured(check, *repeats, **changes), None),
        began=BEGAN,
        duration_ns=1_234_567_890,
        commit="c0ffee",
    )


def ok_report(name: str = "good") -> CheckReport:
    """Two expectations that hold, one of them with a fraction and a spread."""
    counts: list[Counts] = [{"write.calls": count} for count in (4, 5, 6)]
    return check_report("write.calls / 3 <= 5", "1 <= write.calls <= 8", counts=counts, name=name)


def failed_report(name: str = "bad") -> CheckReport:
    """One that does not hold, one that only warns of that, and one that holds."""
    warned = "{that: write.calls <= 2, severity: warn}"
    counts: list[Counts] = [{"write.calls": 9}] * 3
    return check_report("write.calls <= 5", warned, "write.calls == 9", counts=counts, name=name)


def undecided_report(name: str = "undecided") -> CheckReport:
    """One without a baseline."""
    counts: list[Counts] = [{"write.calls": 9}] * 3
    return check_report("write.calls <= baseline", counts=counts, name=name)


def broken_report(name: str = "broken") -> CheckReport:
    """One whose workload failed, though it would only warn."""
    trouble = WorkloadTrouble(stage="run", message="'make' ended with status 2")
    warned = "{that: write.calls <= 2, severity: warn}"
    return check_report(warned, name=name, trouble=trouble)


def unmeasured_report(name: str = "unmeasured", trouble: str = "no such probe") -> CheckReport:
    """One that was not measured."""
    return CheckReport(check=ok_report(name).check, trouble=trouble, exit_codes=(3,))


def hostile_report(name: str = "hostile") -> CheckReport:
    """One about each of two cells, of which one has a hostile name and is beyond the bound."""
    cells = (cell(9, number=1, comm=HOSTILE), cell(2, number=1, comm="b"))
    that = "{that: call.named <= 5, each: true}"
    return check_report(that, counts=[{"call.named": cells}] * 3, name=name)


def sided_report(name: str = "sided") -> CheckReport:
    """One of two sides, of which the second takes half as long again."""
    sides = two_sides("workload.wall <= 1.1 * baseline")
    pair = measure_pair(sides, range(1000, 1020), range(1500, 1520))
    check = replace(sides.candidate, name=name)
    verdict = replace(judge_pairs(sides, pair), check=check)
    return CheckReport(check=check, verdict=verdict, began=BEGAN, duration_ns=1_000_000)


def repeated(report: CheckReport, times: int) -> list[CheckReport]:
    """The same report of checks that are named NAME0, NAME1 and so on."""
    check = report.check
    names = (f"{check.name}{number}" for number in range(times))
    return [replace(report, check=replace(check, name=name)) for name in names]


def all_reports() -> list[CheckReport]:
    """One of each."""
    return [
        ok_report(),
        failed_report(),
        undecided_report(),
        broken_report(),
        unmeasured_report(),
        hostile_report(),
    ]
