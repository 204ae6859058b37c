"""A run in a virtual machine: the same output, while it is written, and the same exit code."""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import field
from pathlib import Path
from typing import BinaryIO

from orchestrator.lab.errors import GuestLost, LabError
from orchestrator.lab.growing_file import GrowingFile
from orchestrator.lab.guest import GUEST_SHARE, REPORT, GuestResult, run_in_guest
from orchestrator.lab.kernels import Kernel
from orchestrator.lab.rehearsal_job import (
    BROUGHT_BACK,
    SCRIPT,
    STANDARD_INPUT,
    RehearsalJob,
    job_script,
)
from orchestrator.values import dataclass

STDOUT, STDERR = f"{REPORT}/stdout", f"{REPORT}/stderr"
#: What `probeplan run` exits with: run.report.finish, and the signals that end it.
RUN_EXIT_CODES = frozenset({0, 2, 3, 4, 5, 6, 129, 130, 143})
EXIT_NOT_STARTED = 126
Boot = Callable[..., GuestResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSize:
    """The machine: `memory` as QEMU writes it, the time that it has, and the kernel's modules that
    are loaded first."""

    cpus: int = 2
    memory: str = "2G"
    timeout_s: float = 600.0
    modules: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsalOutput:
    """Where what the guest writes goes, while it is written. `streams`: by file of the share.
    `started` gets the seconds of the boot; `folder` is given what was written to --out, at the
    end, also where the machine is lost."""

    streams: Mapping[str, Callable[[bytes], None]]
    started: Callable[[float], None] = field(default=lambda _boot_seconds: None)
    folder: Callable[[Path], None] = field(default=lambda _folder: None)


def log_file(name: str) -> str:
    """The key in `streams` of an output of the run that has a separate file."""
    return f"{BROUGHT_BACK}/{name}"


def run_rehearsal(  # noqa: PLR0913  # each is a part of one machine
    kernel: Kernel,
    job: RehearsalJob,
    output: RehearsalOutput,
    *,
    machine: MachineSize,
    stdin: BinaryIO | None = None,
    boot: Boot = run_in_guest,
) -> int:
    """Run `job` in a guest and return the run's exit code.

    Raises GuestLost when the machine died, hung, or ended the run itself; LabError when it cannot
    be started. Nothing is left of it in any case.
    """
    with ExitStack() as stack:
        share = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="probeplan-rehearsal-"))
        )
        _prepare_share(share, job, stdin)
        observer = _RunObserver(share, output)
        stack.enter_context(closing(observer))
        stack.callback(lambda: output.folder(share / BROUGHT_BACK / "out"))
        result = boot(
            kernel,
            ["/bin/sh", str(GUEST_SHARE / SCRIPT)],
            share=share,
            timeout_s=machine.timeout_s,
            cpus=machine.cpus,
            memory=machine.memory,
            modules=machine.modules,
            cwd=Path("/"),
            overlay=True,
            observer=observer,
        )
    return _exit_code_of(result)


def _prepare_share(share: Path, job: RehearsalJob, stdin: BinaryIO | None) -> None:
    text = job_script(job)
    # Names of files and values of the environment need not be UTF-8.
    (share / SCRIPT).write_bytes(text.encode(errors="surrogateescape"))
    with (share / STANDARD_INPUT).open("wb") as file:
        if stdin is not None:
            shutil.copyfileobj(stdin, file)


class _RunObserver:
    """Passes on what the guest writes."""

    def __init__(self, share: Path, output: RehearsalOutput) -> None:
        self._files = [GrowingFile(share / name, write) for name, write in output.streams.items()]
        self._started = output.started

    def job_started(self, boot_seconds: float) -> None:
        self._started(boot_seconds)

    def look(self) -> None:
        for file in self._files:
            file.pass_on()

    def close(self) -> None:
        for file in self._files:
            file.close()


def _exit_code_of(result: GuestResult) -> int:
    code = result.returncode
    if code in RUN_EXIT_CODES:
        return code
    if code == EXIT_NOT_STARTED:
        raise LabError("the run could not be started in the guest; the guest's messages say why")
    ended = f"by signal {code - 128}" if code > 128 else f"with {code}"
    raise GuestLost(
        f"the run ended {ended} in it, which is none of its exit codes (out of memory?)",
        result.console,
    )
