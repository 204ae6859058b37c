"""What the governor would have done is said, and nothing is done."""

from dataclasses import replace

from orchestrator.backends.protocol import Expense
from orchestrator.run.cost.observed import describe_excess
from tests.support.fake_backend import program

SECOND = 1_000_000_000


def expense(hits: int) -> Expense:
    return Expense(
        number=1, probes=(0,), hits=hits, price_ns=850.0, calibrated=True, run_ns=0, runs=0
    )


def describe(hits: int, elapsed_ns: int, cpu: float = 0.02) -> str | None:
    given = program()
    given = replace(given, limits=replace(given.limits, cpu=cpu))
    return describe_excess(given, [expense(0)], [expense(hits)], elapsed_ns)


def test_a_cost_over_the_budget_is_said_with_the_step() -> None:
    """A hit is taken to cost 850 + 150 ns: 100,000 a second take a tenth of a CPU."""
    text = describe(100_000, SECOND)
    assert text is not None
    assert text.startswith("limits.cpu (2% of one CPU) would have ")
    assert "opens" in text
    assert text.endswith("the probes took 10%")


def test_a_cost_within_the_budget_or_too_short_to_be_noticed_is_not() -> None:
    assert describe(10_000, SECOND) is None
    assert describe(100_000, SECOND, cpu=1.0) is None
    assert describe(100_000, SECOND // 4) is None
