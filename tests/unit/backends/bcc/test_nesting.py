"""Expressions as deep as the language allows become programs, and deeper ones findings."""

import pytest

from orchestrator.backends.bcc import backend as bcc
from orchestrator.plan.findings import PlanError
from orchestrator.plan.scopes import MAX_LEVELS
from tests.support.bcc_maps import recorded_program
from tests.support.recorded import recorded

LEVELS = ["({} + 1)", "({} if pid > 3 else 4)", "max({}, pid)", "-({})", "({} == 3)"]


def plan(level: str, definitions: int, each: int) -> str:
    """A probe with a chain of definitions, each of which nests `each` levels by itself."""
    lets = {"l0": "args.count"}
    for number in range(1, definitions + 1):
        lets[f"l{number}"] = f"l{number - 1}"
        for _ in range(each):
            lets[f"l{number}"] = level.format(lets[f"l{number}"])
    lines = "".join(f"      {name}: '{value}'\n" for name, value in lets.items())
    return (
        f"probes:\n  p:\n    attach: entry:vfs_read\n    let:\n{lines}"
        f"    emit: {{x: l{definitions}}}\n"
    )


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("each", [1, 29])
def test_what_nests_as_deep_as_is_allowed_is_compiled(level: str, each: int) -> None:
    """A definition is a level more than what it stands for. One more is refused, once."""
    most = (MAX_LEVELS - 3) // (each + 1)
    program = recorded_program(plan(level, most, each))
    assert bcc.emit(program, recorded("6.1")).text
    with pytest.raises(PlanError, match=f"deeper than {MAX_LEVELS} levels") as refused:
        recorded_program(plan(level, most + 4, each))
    assert [finding.code for finding in refused.value.findings] == ["PP020"]
