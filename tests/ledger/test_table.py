"""The table of this package reports the truth: it has every row, and its tests are there."""

import ast

import pytest

import tests.ledger
from orchestrator.accounting.vocabulary import (
    METRIC,
    RECORD_DISPOSITIONS,
    RUN,
    SIDE,
    HookLedger,
)
from tests.support.paths import TESTS

ROWS = (
    {*SIDE.counts, *RECORD_DISPOSITIONS, *RUN.counts}
    | (set(HookLedger.__annotations__) - {"to", "mechanism", "sides"})
    | {f"metric {name}" for name in METRIC.counts}
)


def table() -> list[list[str]]:
    """Its lines, without the head."""
    text = tests.ledger.__doc__ or ""
    lines = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    return [line for line in lines if len(line) == 3][2:]


def named() -> set[str]:
    """All tests that it names."""
    return {cell for _, *cells in table() for cell in cells if cell != "same"}


def test_every_row_of_the_ledger_has_a_test_on_both_backends() -> None:
    assert {row for row, _, _ in table()} == ROWS
    assert all(bcc and tracefs for _, bcc, tracefs in table())


@pytest.mark.parametrize("name", sorted(named()))
def test_the_test_is_there(name: str) -> None:
    path, _, function = name.partition("::")
    tree = ast.parse((TESTS / path).read_text())
    assert function in {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}


def test_one_that_is_the_same_for_both_runs_on_both() -> None:
    """By a parameter or a fixture `backend`."""
    for _, bcc, tracefs in table():
        path, _, function = bcc.partition("::")
        [found] = [
            one
            for one in ast.parse((TESTS / path).read_text()).body
            if isinstance(one, ast.FunctionDef) and one.name == function
        ]
        takes = "backend" in {argument.arg for argument in found.args.args}
        assert takes == (tracefs == "same") or not takes, (bcc, tracefs)
