"""`probeplan plans --here` on this host's kernel: what it says is what `doctor` says."""

import json
from typing import Any

import pytest

from orchestrator.cli import main
from orchestrator.run.shipped import shipped_plans

#: One of each kind of attach point, and those that need functions of the kernel.
SAMPLE = (
    *("opens", "run-queue-latency", "cpu-stacks", "heap-outstanding", "python-gc"),
    *("vfs-reads", "page-cache", "tcp-accepts", "function-calls"),
)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    main(list(words))
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def here() -> dict[str, dict]:
    """By plan, what `plans --here` says of it."""
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main(["plans", "--here", "--format", "json"]) == 0
    return {entry["name"]: entry["here"] for entry in json.loads(printed.getvalue())}


def test_every_shipped_plan_is_judged(here: dict[str, dict]) -> None:
    assert set(here) == set(shipped_plans())
    assert all(one["can_run"] == (one["reason"] == "") for one in here.values())


@pytest.mark.parametrize("name", SAMPLE)
def test_a_verdict_is_that_of_doctor(
    name: str, here: dict[str, dict], capsys: pytest.CaptureFixture[str]
) -> None:
    checkup = run(capsys, "doctor", name, "--json")
    assert here[name]["can_run"] == bool(checkup["runs_on"])
    if here[name]["can_run"]:
        assert here[name]["backend"] in checkup["runs_on"]
    else:
        first = here[name]["findings"][0]
        assert first["code"] in {problem["code"] for problem in checkup["problems"]}
        assert here[name]["reason"] in first["message"]


def test_what_is_kept_says_the_same(
    here: dict[str, dict], capsys: pytest.CaptureFixture[str]
) -> None:
    """The fixture kept the verdicts of this kernel; they are read again."""
    entries = run(capsys, "plans", "--here", "--format", "json")
    assert {entry["name"]: entry["here"] for entry in entries} == here
