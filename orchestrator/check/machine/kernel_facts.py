"""What a machine's kernel supports, recorded in the machine once and kept."""

import contextlib
import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from orchestrator.check.machine.job import FACTS_FILE
from orchestrator.kernel.facts import KernelFacts, load_facts
from orchestrator.kernel.features import TABLE
from orchestrator.kernel.recording import FORMAT, RecordingError
from orchestrator.lab.image.file_tree import FileTree
from orchestrator.lab.kernels import cache_directory
from orchestrator.lab.machine import run_machine
from orchestrator.lab.machine_command import MachineSettings, read_qemu_version
from orchestrator.lab.machine_kernel import MachineKernel

__all__ = ["read_machine_facts"]

_TIMEOUT_S = 600.0


def read_machine_facts(
    tree: FileTree, kernel: MachineKernel, settings: MachineSettings, notify: Callable[[str], None]
) -> KernelFacts:
    """The facts of a kernel in the machine whose files `tree` is, without a job. The first time
    that takes a boot, which `notify` gets a line about. Raises LabError, and GuestLost."""
    file = _find_place(kernel, tree, settings)
    with contextlib.suppress(OSError, RecordingError):
        return load_facts(file)
    notify(f"recording what the kernel {kernel.identity[:12]} supports, once")
    recording = tree.copy()
    recording.make_file(FACTS_FILE, b"")
    run = run_machine(settings, recording.pack(), _TIMEOUT_S)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=".new-", delete=False) as new:
        new.write(run.result)
    Path(new.name).replace(file)
    return load_facts(file)


def _find_place(kernel: MachineKernel, tree: FileTree, settings: MachineSettings) -> Path:
    """Features are tried by this program, on what QEMU emulates, with the modules loaded."""
    modules = sorted(path for path in tree.list_paths() if path.startswith("/probeplan/modules/"))
    parts = (kernel.identity, FORMAT, read_qemu_version(), settings.cpu, *TABLE, *modules)
    name = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]
    return cache_directory().parent / "machine-facts" / f"{name}.facts.xz"
