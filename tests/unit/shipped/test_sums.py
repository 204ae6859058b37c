"""Next to a histogram of durations is their exact sum: a histogram alone resolves 3.1 %."""

from collections.abc import Iterator

import pytest

from orchestrator.plan.figures import metrics_by_owner
from orchestrator.plan.load import load_plan
from tests.support.shipped import PLANS

#: Ages and life times, where a sum answers no question.
AGES = {"tcp-life.lives", "exits.age", "file-life.lives", "readahead.age"}
#: How plans name a duration.
DURATIONS = ("elapsed", "took", "old")


def list_durations(name: str) -> Iterator[tuple[str, bool]]:
    """Each histogram of durations, and whether its probe or span adds them up, too."""
    for metrics in metrics_by_owner(load_plan(str(PLANS[name]))).values():
        values = {(one.kind, one.value.text): one.name for one in metrics if one.value is not None}
        for text in DURATIONS:
            if ("histogram", text) in values:
                yield f"{name}.{values['histogram', text]}", ("sum", text) in values


@pytest.mark.parametrize("name", PLANS)
def test_a_histogram_of_durations_has_its_sum_next_to_it(name: str) -> None:
    assert [
        label for label, is_added in list_durations(name) if not is_added | (label in AGES)
    ] == []


def test_the_ages_are_those_of_the_plans() -> None:
    found = {label for name in PLANS for label, is_added in list_durations(name) if not is_added}
    assert found == AGES
