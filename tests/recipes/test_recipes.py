"""Each plan of plans/ sees what its workload did, here and in booted kernels."""

import os
import warnings
from pathlib import Path
from typing import Any

import pytest

from orchestrator.compile.lower import compile_plan
from orchestrator.kernel.facts import live_facts
from orchestrator.plan.load import load_plan
from tests.recipes.bundled import Refused, bundle_of_others, series
from tests.recipes.guest import (
    UNBOUND,
    build_program,
    command_of,
    copy_libraries,
    in_folder,
    recorded,
)
from tests.recipes.recipe import Recipe
from tests.recipes.table import RECIPES
from tests.support.guest_cases import CaseResult
from tests.support.guests import ORDINARY
from tests.support.left_out import REFUSED, REFUSED_WITH_ALL_TYPES, is_refused
from tests.support.product import Ran, check_accounts, run_undisturbed
from tests.support.shipped import PLANS

RUN, ATTACH = "tests.recipes.guest:run", "tests.recipes.guest:attach"
PREPARE = "tests.recipes.guest:prepare"
EVERY_RECIPE = "PROBEPLAN_EVERY_RECIPE"
#: Kernels on which a workload does not do what its judge counts: vfs_rmdir is inlined into the
#: system call on 5.10, and ext4 brings in several pages as one folio on 7.x.
NOT_SEEN = {"vfs-calls": ("5.10",), "page-cache": ("7.x",)}
#: They sample time and name stacks of processes that soon end: for a guest on a busy host, by luck.
OF_TIME = ("cpu-samples", "cpu-stacks", "off-cpu-time")
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


HERE = sorted(name for name, row in RECIPES.items() if not row.changes_host)
#: Run from the plan's file, too: half of them, since both ways end in the same programs.
BY_FILE = HERE[::2]


@pytest.mark.root
@pytest.mark.parametrize("name", BY_FILE)
def test_it_sees_its_workload_here(name: str, tmp_path: Path) -> None:
    """The plan's file, whose programs are compiled here."""
    run_here(name, str(PLANS[name]), tmp_path)


@pytest.mark.root
@pytest.mark.parametrize("name", HERE)
def test_it_sees_its_workload_here_by_programs_made_for_other_kernels(
    name: str, tmp_path: Path
) -> None:
    """From a bundle of recorded kernels of other series. A plan of which it has no program has a
    shape on this kernel that is none of theirs: it is refused, and run from its file."""
    skip_what_cannot_run(RECIPES[name])
    file = tmp_path / f"{name}.ppb"
    settings = settings_of(name, tmp_path)
    copy_libraries(RECIPES[name].private, tmp_path)
    try:
        file.write_bytes(bundle_of_others(str(PLANS[name]), settings, live_facts()))
    except Refused:
        assert all(is_refused(name, kernel) for kernel in recorded_alike())
        run_here(name, str(PLANS[name]), tmp_path)
    else:
        run_here(name, str(file), tmp_path)


def run_here(name: str, plan: str, folder: Path) -> None:
    """Run the plan's file or bundle alongside the recipe's workload, and judge."""
    row = RECIPES[name]
    skip_what_cannot_run(row)
    if row.disk and os.major(Path.cwd().stat().st_dev) == 0:
        pytest.skip("the current directory is on no block device")
    libraries = copy_libraries(row.private, folder)
    more = [w for pair in settings_of(name, folder).items() for w in ("--set", "=".join(pair))]
    command = command_of(name, libraries, build_program(name, folder))
    judged(name, run_undisturbed(plan, "--backend", "bcc", *LIMITS, *more, command=command))


def settings_of(name: str, folder: Path) -> dict[str, str]:
    """The row's params, with the copies of libraries in `folder`."""
    row = RECIPES[name]
    return {**row.settings, **in_folder(row.private, folder)}


def recorded_alike() -> list[str]:
    """The recorded kernels of this one's series."""
    return [name for name in REFUSED if series(recorded(name)) == series(live_facts())]


# ---------------------------------------------------------------- in booted kernels

every_plan = pytest.mark.parametrize("name", sorted(RECIPES))
MATRIX = ("5.10", "6.12", "7.x")


def places(name: str, kernel: str) -> list[str]:
    """Where a plan's probes stand on a recorded kernel."""
    plan = load_plan(str(PLANS[name]), settings=RECIPES[name].settings)
    program = compile_plan(plan, recorded(kernel))
    return sorted(hook.label for probe in program.probes for hook in probe.hooks)


def case(call: str, name: str, *marks: pytest.MarkDecorator) -> Any:
    """One parameter: the plan's run, in the boot that serves them all; by a program that was made
    for other kernels, where they have it."""
    row = RECIPES[name]
    given = {"name": name, "plan": str(PLANS[name]), "bundled": call == RUN, **row.where}
    guest = pytest.mark.guest(call, prepare=PREPARE, modules=row.modules, **given)
    return pytest.param(name, marks=[guest, *marks], id=name)


def only_in_guests(row: Recipe) -> bool:
    """Whether a row is run in a booted kernel: what it asks for is not to be had everywhere, its
    workload is nothing for a host, or kernels differ in what it reads."""
    return bool(row.needs) or row.changes_host or row.everywhere


def kernels_of(name: str) -> tuple[str, ...]:
    """The booted kernels on which a row is run: all with PROBEPLAN_EVERY_RECIPE set, else those on
    which it may differ, or one of them in turns: there the programs of other kernels are proved."""
    every = tuple(kernel for kernel in (ORDINARY, *MATRIX) if kernel not in NOT_SEEN.get(name, ()))
    if EVERY_RECIPE in os.environ:
        return every
    row = RECIPES[name]
    usual = (ORDINARY,) if only_in_guests(row) else ()
    kernels = (*usual, *(MATRIX if row.everywhere else row.differs))
    if kernels or name in OF_TIME:
        return kernels
    return (every[sorted(RECIPES).index(name) % len(every)],)


@pytest.mark.parametrize(
    "name",
    [
        case(RUN, name, pytest.mark.kernels(*kernels_of(name)))
        for name in sorted(RECIPES)
        if kernels_of(name)
    ],
)
def test_it_sees_its_workload_in_a_guest(name: str, guest: CaseResult) -> None:
    """The kernel's own functions and structures; what another kernel calls otherwise, or has not,
    is seen by the plan's alternative. The programs were made for other kernels, and only those are
    refused that are known to be."""
    reported = guest.result()
    if again := reported["disturbed"]:
        warnings.warn(f"{name} was disturbed, and made again {again} times", stacklevel=1)
    assert reported["left"] == []
    judged(name, Ran.of(reported["lines"]))
    lane = guest.kernel.name
    assert reported["refused"] == (lane in REFUSED_WITH_ALL_TYPES.get(name, ()))


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
