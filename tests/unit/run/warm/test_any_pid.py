"""What was prepared for one process is what would have been prepared for another."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.backends import BACKENDS
from orchestrator.compile.lower import compile_plan
from orchestrator.plan.load import load_plan
from orchestrator.run.warm.any_pid import (
    ANY_PID,
    change_pid,
    find_pid,
    names_pid,
    without_pid,
)
from orchestrator.run.warm.coding import decode_value, encode_value
from tests.support.paths import ROOT
from tests.support.recorded import recorded

PLANS = [ROOT / "plans" / name for name in ("fs/opens.yaml", "sched/off-cpu-time.yaml")]


def prepared_for(path: Path, pid: int) -> tuple[Any, ...]:
    plan = load_plan(path, target={"pid": str(pid)})
    program = compile_plan(plan, recorded("6.12"))
    return plan, program, BACKENDS["bcc"].emit(program, recorded("6.12"))


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_with_another_pid_it_is_what_is_prepared_for_that(path: Path) -> None:
    """By way of the form that is kept, in which no pid is left."""
    kept = encode_value(
        decode_value(encode_value(prepared_for(path, 12_345)), change_pid(12_345, ANY_PID))
    )
    assert not names_pid(str(kept), 12_345)
    plan, program, artifact = decode_value(kept, change_pid(ANY_PID, 777))
    wanted_plan, wanted_program, wanted = prepared_for(path, 777)
    assert (plan, program) == (wanted_plan, wanted_program)
    assert artifact.program is program
    assert artifact.detail.layout.program is program
    assert artifact.text == wanted.text
    assert artifact.numbers == wanted.numbers
    assert replace(artifact, detail=None) == replace(wanted, detail=None)


@pytest.mark.parametrize(
    ("text", "pid"),
    [
        ("1", 1),
        ("4194304", 4_194_304),
        ("4194305", None),
        ("0", None),
        ("007", None),
        ("1,2", None),
        ("+1", None),
        ("", None),
    ],
)
def test_only_one_plain_pid_is_left_out(text: str, pid: int | None) -> None:
    assert find_pid({"settings": {}, "target": {"pid": text}}) == pid


def test_requests_that_differ_in_more_than_the_pid_stay_different() -> None:
    overrides = {"settings": {"a": "1"}, "target": {"pid": "7", "comm": "x"}}
    assert without_pid(overrides) == {
        "settings": {"a": "1"},
        "target": {"pid": "*", "comm": "x"},
    }
    assert find_pid({"settings": {"pid": "7"}, "target": {}}) is None


def test_a_number_is_found_as_a_whole_one() -> None:
    assert names_pid("a [17, 3]", 17)
    assert not names_pid("a [170, 217]", 17)
