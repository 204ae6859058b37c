"""The Python of a machine has all that its program imports, without booting it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrator.check.machine import measure
from orchestrator.lab.image.python_files import GUEST_PACKAGES, GUEST_PYTHON
from orchestrator.lab.machine_image import make_machine_tree

#: What the program imports once it has a job, and while it attaches and counts.
MODULES = (
    "orchestrator.check.machine.guest_process",
    "orchestrator.check.machine.waiting",
    "orchestrator.check.machine.answer",
    "orchestrator.check.measuring.measure",
    "orchestrator.backends.compiled",
    "orchestrator.backends.bcc.attach.attaching",
    "orchestrator.backends.bcc.counts.ring",
    "orchestrator.check.processes.launcher_process",
    "orchestrator.run.safety.watchdog",
    "orchestrator.kernel.facts",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a machine, unpacked."""
    folder = tmp_path_factory.mktemp("root")
    tree = make_machine_tree(measure.PROGRAM, measure.PACKAGES)
    subprocess.run(["cpio", "-i", "--quiet"], input=tree.pack(), cwd=folder, check=True)
    return folder


def test_all_that_the_program_imports_is_in_the_image(root: Path) -> None:
    python, packages = (root / path.lstrip("/") for path in (GUEST_PYTHON, GUEST_PACKAGES))
    done = subprocess.run(
        [python, "-S", "-s", "-P", "-c", f"import {', '.join(MODULES)}, sys; print(sys.path)"],
        env={"PYTHONPATH": str(packages)},
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert str(packages) in done.stdout


def test_init_has_no_syntax_error(root: Path) -> None:
    for script in ("init", "probeplan/program"):
        subprocess.run(["busybox", "sh", "-n", root / script], check=True)
    applets = {path.name for path in (root / "probeplan/bin").iterdir() if path.is_symlink()}
    offered = subprocess.check_output([shutil.which("busybox") or "", "--list"], text=True)
    assert applets <= set(offered.split())
    assert os.access(root / "init", os.X_OK)
