"""A machine that is stored when its program asks for it, and goes on from there many times.

The program writes to a port of the device pvpanic, which stops the machine after that instruction.
What is stored then depends on nothing of this host, and neither does what follows: the same
seed gives the same figures again. Seeds differ in what the CPU's random numbers are from there on,
and the program makes of them what it waits for before it goes on.
"""

import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import IO

from orchestrator.kernel.abi.memory_file import hold_in_memory
from orchestrator.lab.errors import GuestLost, LabError
from orchestrator.lab.machine import MachineRun, list_result_options, read_run
from orchestrator.lab.machine_command import (
    CLOCK_SHIFT,
    MachineSettings,
    make_command,
    require_host,
)
from orchestrator.lab.machine_monitor import MachineMonitor
from orchestrator.lab.machine_process import MachineProcess, Patience
from orchestrator.lab.snapshot.stored_clock import settle_clock
from orchestrator.values import dataclass

__all__ = ["StoredMachine", "store_machine"]

_STOPPING = ("-device", "pvpanic", "-action", "panic=pause")
_BESIDE_MEMORY = 256 << 20  # of the devices, and what memory is described by
_BANDWIDTH = 100 << 30  # bytes a second: no limit
_FILE = "stored"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMachine:
    """A machine whose program waits. `size` in bytes; times in seconds of this host: until the
    program waited, and until it was stored. `early`: the result of a program that has ended
    instead, None for one that waits."""

    settings: MachineSettings
    image: int
    file: int
    size: int
    wait_seconds: float
    store_seconds: float
    early: MachineRun | None

    def go_on(
        self,
        seed: int,
        timeout_s: float,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> MachineRun:
        """Let it go on, to its end. Raises as `run_machine`."""
        assert self.early is None
        patience = Patience(timeout_s=timeout_s, is_cancelled=is_cancelled)
        with _open_anew(self.file) as file, hold_in_memory(b"", "result") as result:
            settings = replace(self.settings, seed=seed)
            command = [*_make_command(settings, self.image, result), "-incoming", f"fd:{file}"]
            inherited = (self.image, result, file)
            with _start(command, inherited, patience) as process:
                process.boot_seconds = 0.0
                while process.ask("query-status", {})["status"] == "inmigrate":
                    process.pause()
                process.ask("cont", {})
                if process.run_to_stop():
                    reason = "the machine stopped itself again: something in it writes to its port"
                    raise GuestLost(reason, process.console)
            return read_run(process, result)


@contextmanager
def store_machine(
    settings: MachineSettings,
    archive: bytes,
    timeout_s: float,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[StoredMachine]:
    """Boot, and store the machine once its program asks for it; it is forgotten afterwards, and is
    in no file that has a name. Raises as `run_machine`, LabError also where it cannot be stored."""
    require_host(settings, archive)
    patience = Patience(timeout_s=timeout_s, is_cancelled=is_cancelled)
    with (
        hold_in_memory(archive, "image") as image,
        hold_in_memory(b"", "result") as result,
        _make_file() as stored,
    ):
        command, file = _make_command(settings, image, result), stored.fileno()
        early = None
        with _start(command, (image, result), patience) as process:
            process.ask("migrate-set-parameters", {"max-bandwidth": _BANDWIDTH})
            waits = process.run_to_stop()
            wait_seconds = process.wall_seconds
            if waits:
                _store(process, file, settings.memory + _BESIDE_MEMORY)
        if waits:
            settle_clock(file, CLOCK_SHIFT)
        else:
            early = read_run(process, result)
        yield StoredMachine(
            settings=settings,
            image=image,
            file=file,
            size=os.fstat(file).st_size,
            wait_seconds=wait_seconds,
            store_seconds=process.wall_seconds,
            early=early,
        )


def _make_command(settings: MachineSettings, image: int, result: int) -> list[str]:
    return [
        *make_command(settings),
        *("-initrd", f"/dev/fd/{image}", *list_result_options(result), *_STOPPING),
    ]


@contextmanager
def _start(
    command: list[str], inherited: tuple[int, ...], patience: Patience
) -> Iterator[MachineProcess]:
    monitor = MachineMonitor()
    try:
        with MachineProcess(
            command=command, inherited=inherited, patience=patience, monitor=monitor
        ) as process:
            yield process
    finally:
        monitor.close()


def _make_file() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise LabError(
            f"the machine cannot be stored: {error.strerror}: set TMPDIR to a folder with room"
        ) from None


def _store(process: MachineProcess, file: int, limit: int) -> None:
    """`limit`: of the file's size in bytes."""
    if "Kernel panic" in process.console:
        raise process.explain_loss(b"")
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
    process.ask("getfd", {"fdname": _FILE}, descriptor=file)
    process.ask("migrate", {"uri": f"fd:{_FILE}"})
    while (state := process.ask("query-migrate", {}))["status"] != "completed":
        if state["status"] in ("failed", "cancelled"):
            reason = state.get("error-desc", "no reason is known")
            raise LabError(f"the machine cannot be stored in {tempfile.gettempdir()}: {reason}")
        process.pause()


@contextmanager
def _open_anew(file: int) -> Iterator[int]:
    """The same file, with a separate position."""
    try:
        descriptor = os.open(f"/proc/self/fd/{file}", os.O_RDONLY)
    except OSError as error:
        raise GuestLost(f"what was stored cannot be read: {error.strerror}", "") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)
