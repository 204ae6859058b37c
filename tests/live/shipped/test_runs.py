"""Every shipped plan that tracefs can run, run by it on this machine, sees what its workload did.

Rates and caps are lifted where a workload is faster than a plan's limits, since these tests count.
"""

import os
from pathlib import Path

import pytest

from tests.recipes.guest import UNBOUND, command_of, copy_libraries
from tests.recipes.table import RECIPES
from tests.support.product import run_cli
from tests.support.shipped import PLANS, tracefs_cannot

LIMITS = [word for name, value in UNBOUND.items() for word in ("--limit", f"{name}={value}")]
#: What works without kprobes works anywhere; test_compiles.py proves the refusals.
CAN = sorted(
    name
    for name, row in RECIPES.items()
    if not (row.needs or row.changes_host) and name not in tracefs_cannot(kprobes=False)
)


@pytest.mark.parametrize("name", CAN)
def test_tracefs_sees_its_workload(name: str, tmp_path: Path) -> None:
    """The number of events is that of the workload; lines are valid and accounts add up."""
    row = RECIPES[name]
    if row.disk and os.major(Path.cwd().stat().st_dev) == 0:
        pytest.skip("the current directory is on no block device")
    folder = copy_libraries(row.private, tmp_path)
    libraries = {param: str(tmp_path / library) for param, library in row.private.items()}
    more = [w for pair in {**row.settings, **libraries}.items() for w in ("--set", "=".join(pair))]
    ran = run_cli(
        str(PLANS[name]), "--backend", "tracefs", *LIMITS, *more, command=command_of(name, folder)
    )
    row.judge(ran)
    assert ran.finished["outcome"] == "command"
