"""Each plan of plans/ sees what its workload did, here and in booted kernels."""

import os
from pathlib import Path
from typing import Any

import pytest

from orchestrator.compile.lower import compile_plan
from orchestrator.kernel.facts import live_facts
from orchestrator.plan.load import load_plan
from tests.recipes.guest import UNBOUND, build_program, command_of, copy_libraries, recorded
from tests.recipes.recipe import Recipe
from tests.recipes.table import RECIPES
from tests.support.guest_cases import CaseResult
from tests.support.guests import ORDINARY
from tests.support.product import Ran, check_accounts, run_undisturbed
from tests.support.shipped import PLANS

RUN, ATTACH = "tests.recipes.guest:run", "tests.recipes.guest:attach"
PREPARE = "tests.recipes.guest:prepare"
LIMITS = [word for name, value in UNBOUND.items() for word in ("--limit", f"{name}={value}")]


def test_every_plan_has_a_row() -> None:
    assert set(RECIPES) == set(PLANS)


def judged(name: str, ran: Ran) -> None:
    """The accounts add up, nothing is lost, and the answer is the workload's."""
    check_accounts(ran)
    assert ran.finished["outcome"] == "command"
    assert ran.finished["command_status"] == 0
    RECIPES[name].judge(ran)


# ---------------------------------------------------------------- here


def skip_what_cannot_run(row: Recipe) -> None:
    """Names what is missing, so that a skip is known for one."""
    facts = live_facts()
    lacking = [need for need in row.needs if facts.feature(need).state == "no"]
    if lacking:
        pytest.skip(f"this kernel lacks {', '.join(lacking)}")


@pytest.mark.root
@pytest.mark.parametrize("name", sorted(n for n, row in RECIPES.items() if not row.changes_host))
def test_it_sees_its_workload_here(name: str, tmp_path: Path) -> None:
    row = RECIPES[name]
    skip_what_cannot_run(row)
    if row.disk and os.major(Path.cwd().stat().st_dev) == 0:
        pytest.skip("the current directory is on no block device")
    folder = copy_libraries(row.private, tmp_path)
    libraries = {param: str(tmp_path / library) for param, library in row.private.items()}
    more = [w for pair in {**row.settings, **libraries}.items() for w in ("--set", "=".join(pair))]
    command = command_of(name, folder, build_program(name, tmp_path))
    ran = run_undisturbed(str(PLANS[name]), "--backend", "bcc", *LIMITS, *more, command=command)
    judged(name, ran)


# ---------------------------------------------------------------- in booted kernels

every_plan = pytest.mark.parametrize("name", sorted(RECIPES))
MATRIX = ("5.10", "6.12", "7.x")


def places(name: str, kernel: str) -> list[str]:
    """Where a plan's probes stand on a recorded kernel."""
    plan = load_plan(str(PLANS[name]), settings=RECIPES[name].settings)
    program = compile_plan(plan, recorded(kernel))
    return sorted(hook.label for probe in program.probes for hook in probe.hooks)


def case(call: str, name: str) -> Any:
    """One parameter: the plan's run, in the boot that serves them all."""
    row = RECIPES[name]
    marked = pytest.mark.guest(
        call, prepare=PREPARE, name=name, plan=str(PLANS[name]), modules=row.modules, **row.where
    )
    return pytest.param(name, marks=marked, id=name)


def only_in_guests(row: Recipe) -> bool:
    """Whether a row is run in a booted kernel: what it asks for is not to be had everywhere, its
    workload is nothing for a host, or kernels differ in what it reads."""
    return bool(row.needs) or row.changes_host or row.everywhere


@pytest.mark.usual_kernel
@pytest.mark.parametrize(
    "name", [case(RUN, name) for name, row in sorted(RECIPES.items()) if only_in_guests(row)]
)
def test_it_sees_its_workload_in_a_guest(name: str, guest: CaseResult) -> None:
    """The kernel's own functions and structures."""
    reported = guest.result()
    assert reported["left"] == []
    judged(name, Ran.of(reported["lines"]))


def other_kernels(row: Recipe) -> tuple[str, ...]:
    """Kernels on which a row is run in addition to the usual one."""
    return MATRIX if row.everywhere else row.differs


def elsewhere(name: str) -> Any:
    """The same, on the kernels where the plan's probes stand elsewhere."""
    param = case(RUN, name)
    return pytest.param(
        name, marks=[*param.marks, pytest.mark.kernels(*other_kernels(RECIPES[name]))], id=name
    )


@pytest.mark.parametrize(
    "name", [elsewhere(name) for name, row in sorted(RECIPES.items()) if other_kernels(row)]
)
def test_it_sees_its_workload_where_its_probes_stand_elsewhere(
    name: str, guest: CaseResult
) -> None:
    """What another kernel calls otherwise, or has not, is seen by the plan's alternative."""
    reported = guest.result()
    assert reported["left"] == []
    judged(name, Ran.of(reported["lines"]))


@every_plan
def test_where_probes_stand_elsewhere_is_known(name: str) -> None:
    """No plan takes another alternative unproved: compared with 6.1, as kernels are recorded."""
    usual, *others = (places(name, kernel) for kernel in (ORDINARY, *MATRIX))
    found = {kernel for kernel, there in zip(MATRIX, others, strict=True) if there != usual}
    assert found == set(RECIPES[name].differs)


@pytest.mark.other_kernels
@pytest.mark.parametrize(
    "name",
    [
        case(ATTACH, name)
        for name, row in sorted(RECIPES.items())
        if only_in_guests(row) and not row.everywhere
    ],
)
def test_it_is_loaded_and_attached(name: str, guest: CaseResult) -> None:
    """On each kernel, those that ask for more than tracepoints: attached for a moment, whole, and
    gone. That each kernel attaches all plans' programs, tests/guest/bcc/test_mechanisms.py says.
    """
    reported = guest.result()
    assert reported["left"] == []
    ran = Ran.of(reported["lines"])
    assert ran.finished["outcome"] in ("duration", "cap")
    assert ran.of_kind("probe.attached")
    assert not ran.finished["error"]
