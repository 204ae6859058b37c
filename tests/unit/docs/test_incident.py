"""docs/incident.md: what it says to search finds what it says to run, and that can be run."""

import re
import shlex
from itertools import pairwise

import pytest

from orchestrator.catalog.index import read_index
from orchestrator.catalog.search import find_plans
from orchestrator.plan.load import load_plan
from orchestrator.run.shipped import shipped_plans
from tests.unit.docs.pages import DOCS, rows

PAGE = (DOCS / "incident.md").read_text()
ROWS = [row for row in rows(PAGE) if len(row) == 4]
IDS = [row[0] for row in ROWS]


def _words(cell: str) -> list[str]:
    return shlex.split(cell.strip().strip("`"))


def test_every_symptom_of_the_drills_has_a_row() -> None:
    text = " ".join(IDS)
    for symptom in (
        "slow",
        "CPU",
        "name resolution",
        "memory",
        "killed",
        "crash",
        "threads",
        "disk",
    ):
        assert symptom in text


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_the_search_finds_the_plan_near_the_top(row: list[str]) -> None:
    _, search, command, _ = row
    found = [entry.name for entry in find_plans(_words(search)[2:], read_index())]
    assert _words(command)[2] in found[:8]


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_the_command_names_a_shipped_plan_and_its_params(row: list[str]) -> None:
    words = _words(row[2])
    assert words[:2] == ["probeplan", "run"]
    given = [value for flag, value in pairwise(words) if flag == "--set"]
    plan = load_plan(
        shipped_plans()[words[2]], settings=dict(value.split("=", 1) for value in given)
    )
    shown = re.findall(r"`(\w+)`", row[3])
    assert set(shown) <= _names_of(plan), shown


def _names_of(plan) -> set[str]:
    """Fields, metrics and keys that the answer has, and calls for commands."""
    metrics = [m for owner in (*plan.probes, *plan.spans) for m in owner.metrics]
    fields = {name for owner in (*plan.probes, *plan.spans) for name in (owner.emit or ())}
    return fields | {metric.name for metric in metrics} | {"comm"}
