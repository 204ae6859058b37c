"""bpftrace's scripts alongside our plans in a booted kernel: those that want kernel functions."""

import io
import os
from pathlib import Path
from typing import Any

from tests.guest.product import _compile, leftovers
from tests.recipes.guest import here, plan_of, recorded
from tests.recipes.peers import private_python, shipped
from tests.recipes.table import AREA_OF
from tests.support.paths import ROOT

FOLDER = Path("/tmp")  # noqa: S108  # a guest's own


def prepare(kernel: Any, share: Path, *, path: str, **_: Any) -> dict[str, Any]:
    """On the host: compile the plan, so that the guest finds its instructions."""
    _compile(plan_of(path, {}, {}, share), recorded(kernel.name))
    return {}


def run(*, script: str, plan: str, path: str, reported: int) -> dict[str, Any]:
    """In the guest: the script alongside the plan, what both reported and what of ours is left in
    the kernel. `reported`: how many lines the script prints of the workload."""
    from orchestrator.output.sink import Sink
    from orchestrator.run.runner import run_plan

    os.environ["PYTHONPATH"] = str(ROOT)
    os.chdir(FOLDER)
    python = private_python(FOLDER)
    who = Path(python).name
    command = [python, "-S", "-m", "tests.recipes", AREA_OF[plan], plan]
    written = io.BytesIO()
    with shipped(script, FOLDER) as theirs:
        run_plan(
            plan_of(path, {}, {}, FOLDER), here(), backend="bcc", command=command, log=Sink(written)
        )
        theirs.wait_told(lambda text: text.count(f" {who} ") >= reported)
    return {
        "lines": written.getvalue().decode(),
        "reported": theirs.reported(),
        "who": who,
        "left": leftovers(),
    }
