"""Which records explain a failure."""

from fractions import Fraction
from typing import Any

import pytest

from orchestrator.check.expectation.claim import read_claim
from orchestrator.check.expectation.references import PlanNames
from orchestrator.check.explanation.model import GrownCell, Growth
from orchestrator.check.explanation.selection import RecordSelection, grown_keys
from tests.support.checks import good_check

FSYNC = {"explained_key_number": 74}
NAMED = {"explained_key_number": "fsync"}


def grown_cell(key: dict[str, Any], before: Fraction | None) -> GrownCell:
    return GrownCell(metric="m", key=key, names={}, value=Fraction(1), before=before)


def select(text: str, *grown: dict[str, Any]) -> RecordSelection:
    check = good_check(text)
    cells = tuple(
        GrownCell(metric="m", key=key, names={}, value=Fraction(1), before=Fraction(0))
        for key in grown
    )
    return RecordSelection(
        references=tuple(
            PlanNames(check.plan).list_metrics(read_claim(check.expectations[0].that).subject)
        ),
        grown=grown_keys(Growth(compared_with="baseline", cells=cells)),
        constants={"SYS_fsync": 74, "SYS_close": 3},
    )


@pytest.mark.parametrize(
    ("text", "rank"),
    [
        ("call.calls == 0", "counted"),
        ("call.calls[number == SYS_fsync] == 0", "counted"),
        ("call.calls[number == 'fsync'] == 0", "counted"),
        ("call.calls[number == SYS_close] == 0", None),
        ("call.calls[number == SYS_open] == 0", None),  # not on this machine
        ("write.calls == 0", None),
    ],
)
def test_a_record_has_to_fulfil_the_filter(text: str, rank: str | None) -> None:
    assert select(text).rank("call", FSYNC, NAMED) == rank


def test_a_record_of_a_cell_that_grew_comes_first() -> None:
    assert select("call.calls == 0", {"number": 74}).rank("call", FSYNC, NAMED) == "grown"
    assert select("call.calls == 0", {"number": 3}).rank("call", FSYNC, NAMED) == "counted"


def test_what_the_metric_does_not_count_is_no_record_of_it() -> None:
    selection = select("call.failed == 0")
    for counted, rank in ((True, "counted"), (False, None), (None, None)):
        values = {**FSYNC, "explained_counted_failed": counted}
        assert selection.rank("call", values, NAMED) == rank


@pytest.mark.parametrize("name", ["kstack", "kstack(3)", "start.ustack"])
def test_stacks_are_not_compared_since_records_have_no_names_of_them_yet(name: str) -> None:
    selection = select("call.stacks == 0", {name: ("vfs_read+0x1",)})
    assert selection.rank("call", {"explained_key_kstack": None}, {}) == "grown"


def test_the_largest_cells_have_not_grown() -> None:
    cells = (grown_cell({"number": 74}, None),)
    assert grown_keys(Growth(compared_with="nothing", cells=cells)) == frozenset()
