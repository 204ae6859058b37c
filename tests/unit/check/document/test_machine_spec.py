"""The machine of a check's document."""

import pytest

from orchestrator.check.model import MachineSpec
from orchestrator.plan.findings import Finding
from tests.support.checks import HEAD, PLAN, inspect

FULL = "{kernel: 'debian:6.1', memory: 2GiB, disk: ext4 64MiB, files: [a, $(here)/b], seeds: 5}"


def read_check(
    machine: str, workload: str = "run: [make]", claim: str = "call.calls <= 1", before: str = ""
) -> tuple[MachineSpec | None, int, list[Finding]]:
    """The machine and the repeats, of a check without errors, and the findings."""
    check, findings = inspect(
        f"{HEAD}{before}{PLAN}workload: {{{workload}}}\nmachine: {machine}\n"
        f"expect: {{one: '{claim}'}}\n"
    )
    if check is None:
        return None, 0, findings
    return check.machine, check.workload.repeats, findings


def test_a_machine_is_read_whole() -> None:
    machine, repeats, findings = read_check(FULL)
    assert not findings
    assert repeats == 5  # each seed is one
    assert machine is not None
    assert (machine.kernel, machine.memory, machine.disk) == ("debian:6.1", 2 << 30, 64 << 20)
    assert (machine.files, machine.seeds) == (("a", "$(here)/b"), 5)


def test_what_is_left_out_has_a_default() -> None:
    machine, repeats, _ = read_check("{kernel: ./vmlinux}")
    assert machine is not None
    assert (machine.memory, machine.disk, machine.files, repeats) == (1 << 30, 0, (), 3)


@pytest.mark.parametrize(
    ("machine", "workload", "code"),
    [
        ("{kernel: debian:6.1}", "run: [make], repeats: 5", "PP230"),
        ("{kernel: debian:6.1}", "run: [make], cpu: 0", "PP230"),
        ("{kernel: $(params.gone)}", "run: [make]", "PP209"),
        ("{kernel: k, files: [$(nothing)]}", "run: [make]", "PP209"),
    ],
)
def test_what_has_no_meaning_in_a_machine_is_reported(
    machine: str, workload: str, code: str
) -> None:
    assert [one.code for one in read_check(machine, workload)[2]] == [code]


@pytest.mark.parametrize(
    "machine",
    [
        "{}",
        "{kernel: k, disk: 64MiB}",
        "{kernel: k, disk: xfs 64MiB}",
        "{kernel: k, disk: ext4 1KiB}",
        "{kernel: k, memory: 1MiB}",
        "{kernel: k, seeds: 0}",
        "{kernel: k, other: 1}",
    ],
)
def test_a_machine_that_cannot_be_is_refused(machine: str) -> None:
    text = (
        f"{HEAD}{PLAN}workload: {{run: [make]}}\nmachine: {machine}\nexpect: {{a: call.calls < 1}}"
    )
    assert [one for one in inspect(text)[1] if one.severity == "error"]


def test_times_are_compared_with_a_baseline_in_a_machine_alone() -> None:
    claim = "workload.wall <= 1.01 * baseline"
    assert read_check("{kernel: debian:6.1}", claim=claim)[0]
    assert not read_check("{kernel: debian:6.1}", claim=claim)[2]
    text = f"{HEAD}{PLAN}workload: {{run: [make]}}\nexpect: {{a: '{claim}'}}\n"
    assert [one.code for one in inspect(text)[1]] == ["PP208"]
