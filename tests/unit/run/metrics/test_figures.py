"""Figures of a plan: what is derived, warned of, and stopped at."""

from orchestrator.cells.cell import Cell
from orchestrator.run.metrics.figures import Counted, PlanFigures
from tests.support.fake_backend import program
from tests.support.fake_runs import plan_of


def counted(elapsed_ns: int = 10**9, **calls: int) -> Counted:
    cells = [Cell(key=comm.encode().ljust(16, b"\0"), count=n) for comm, n in calls.items()]
    return Counted(cells={0: cells}, elapsed_ns=elapsed_ns)


FIGURES = """
derive:
  share: {value: opens.calls / total(opens.calls), unit: "%", warn: value >= 0.5 and rate > 1}
  rate: {value: opens.calls * s / elapsed}
stop_when: rate > params.most and share < 1
"""


def test_figures_lean_on_each_other_and_on_what_was_counted_so_far() -> None:
    """A metric with a key is all its cells; a window's figure and the total one differ."""
    figures = PlanFigures(plan_of(FIGURES), program())
    now, so_far = counted(2 * 10**9, cat=6, dog=2), counted(8 * 10**9, cat=10, dog=6)
    assert figures.derive(now, so_far) == {"share": 0.5, "rate": 4.0}
    assert figures.derive(so_far, so_far) == {"share": 1.0, "rate": 2.0}
    assert figures.check_stop(now, so_far) == {
        "condition": "rate > params.most and share < 1",
        "numbers": {"rate": 4.0, "params.most": 3, "share": 0.5},
    }
    assert figures.check_stop(so_far, so_far) is None


def test_a_figure_without_a_value_warns_of_nothing_and_stops_nothing() -> None:
    """0 / 0 is null, and so is every comparison with it."""
    figures = PlanFigures(plan_of(FIGURES), program())
    nothing = counted()
    assert figures.derive(nothing, nothing) == {"share": None, "rate": 0}
    assert figures.list_warnings(nothing, nothing) == []
    assert figures.check_stop(nothing, nothing) is None


def test_a_warning_names_the_cells_that_it_holds_for_the_largest_first() -> None:
    """Each with the numbers it was judged by; what is too much is counted."""
    figures = PlanFigures(plan_of("", warn="value > params.most"), program())
    many = counted(**{f"c{i:02}": i for i in range(26)})
    [warning] = figures.list_warnings(many, many)
    assert (warning["probe"], warning["metric"], warning["condition"]) == (
        *("opens", "calls"),
        "value > params.most",
    )
    assert warning["cells"][0] == {
        "key": {"comm": "c25"},
        "other": False,
        "numbers": {"value": 25, "params.most": 3},
    }
    assert [cell["numbers"]["value"] for cell in warning["cells"]] == list(range(25, 5, -1))
    assert warning["cells_omitted"] == 2


def test_a_figure_beyond_64_bits_is_rounded_to_floating_point() -> None:
    """In the figure itself, and in the numbers of warnings and of the end."""
    text = """
derive: {all: {value: 4611686018427387904 * opens.calls, warn: value > 1}}
stop_when: all > 1
"""
    figures = PlanFigures(plan_of(text), program())
    many = counted(cat=8)
    derived = figures.derive(many, many)["all"]
    assert (derived, type(derived)) == (float(1 << 65), float)
    [warning] = figures.list_warnings(many, many)
    stop = figures.check_stop(many, many)
    assert stop is not None
    numbers = [warning["cells"][0]["numbers"]["value"], stop["numbers"]["all"]]
    assert [(number, type(number)) for number in numbers] == [(float(1 << 65), float)] * 2


def test_a_chain_of_figures_by_key_is_computed_once_a_cell() -> None:
    """Each is twice the one before it: without keeping values, 2^60 steps."""
    chain = "".join(f"  f{i}: {{value: f{i - 1} + f{i - 1}, by: [comm]}}\n" for i in range(1, 60))
    plan = plan_of(f"derive:\n  f0: {{value: opens.calls, by: [comm]}}\n{chain}")
    figures = PlanFigures(plan, program())
    now = counted(cat=3, dog=1)
    cells = figures.derive_cells(now, now)["f59"]["cells"]
    assert [cell["value"] for cell in cells] == [3 * 2**59, 2**59]
