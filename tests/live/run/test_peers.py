"""Plans of a program's structures, arguments and USDT probes, run against that program: what they
show is what the program has."""

from pathlib import Path
from typing import Any

import pytest

from orchestrator.plan.load import load_plan
from tests.support.peers import OF_MEMBERS, PEERS, build_members
from tests.support.product import run_cli

COUNT = 3
TAKEN = {
    "runtime/bit-fields": {"a": 1, "b": 5, "c": 300},
    "runtime/elements": {"first": 10, "at": 13, "cell": 6, "through": 20},
    "runtime/struct-in-variable": {"m": 1, "n": 2, "name": "first", "after": 3, "further": 5},
    "runtime/usdt-arguments": {"first": 1, "last": 12},
    "runtime/usdt-values": {"s": "a text", "i": 6},
}


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workload members.c."""
    return build_members(tmp_path_factory.mktemp("members"))


@pytest.mark.parametrize("name", OF_MEMBERS)
def test_a_plan_shows_what_the_program_has(name: str, members: Path) -> None:
    """Once for each call, but main, which is called once."""
    command = [str(members), str(COUNT)]
    ran = run_cli(str(PEERS[name]), "--set", f"binary={members}", command=command)
    main: list[dict[str, Any]] = [{"count": 2, "first": str(members)}]
    expected = main if name == "runtime/argument-names" else [TAKEN[name]] * COUNT
    (probe,) = load_plan(str(PEERS[name]), settings={"binary": str(members)}).probes
    assert ran.data(probe.name) == expected
    assert ran.finished["complete"] is True
