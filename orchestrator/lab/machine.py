"""The deterministic machine: one boot, one program, the same figures each time.

QEMU emulates one CPU whose clock counts instructions (2 ns each) and never waits for the host's.
All files are in the first file system, random numbers come from a seed, the clock starts at a fixed
date, addresses are not randomized, and there is no device that answers in the host's time. Then
everything that happens from the boot to the result depends on the image, the kernel, the seed and
QEMU's version alone.
"""

import functools
import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.lab.errors import GuestLost, LabError
from orchestrator.output.framed_bytes import find_framed

__all__ = ["MachineCancelled", "MachineRun", "MachineSettings", "read_qemu_version", "run_machine"]

_QEMU = "qemu-system-x86_64"
_STARTS = b"probeplan-machine: program starts"
_CMDLINE = (
    "console=ttyS0 quiet panic=-1 oops=panic nokaslr norandmaps mitigations=off tsc=reliable "
    "no_timer_check random.trust_cpu=on"
)
_MOST_RESULT_BYTES = 256 << 20
_IMAGE_SHARE = 3  # of memory: the archive, its files, and as much for the rest
_MIB = 1 << 20
_LOOK_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSettings:
    """What is booted: the uncompressed kernel, the memory in bytes, the seed of its random numbers.
    `cpu`: QEMU's name of the emulated CPU's model."""

    vmlinux: Path
    memory: int = 1 << 30
    seed: int = 1
    cpu: str = "max"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRun:
    """A run that gave a result. Times in seconds of this host: until the program started, and in
    all."""

    result: bytes
    console: str
    boot_seconds: float
    wall_seconds: float


class MachineCancelled(LabError):
    """The caller did not want to wait for the machine any longer."""


@functools.cache
def read_qemu_version() -> str:
    """The version of QEMU, such as `7.2.22`. Raises LabError where it is not installed."""
    if shutil.which(_QEMU) is None:
        raise LabError(f"`{_QEMU}` is not installed: install the package qemu-system-x86")
    text = subprocess.run([_QEMU, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version (\d[\w.]*)", text)
    if found is None:
        raise LabError(f"`{_QEMU} --version` does not say its version: {text.strip()!r}")
    return found[1]


def run_machine(
    settings: MachineSettings,
    archive: bytes,
    timeout_s: float,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> MachineRun:
    """Boot once; returns what the program gave back. QEMU never outlives the call.

    Raises GuestLost when the machine gave no result within `timeout_s` seconds of this host,
    MachineCancelled within a second of `is_cancelled`, LabError when it cannot be started.
    """
    _require_host(settings, archive)
    with _make_nameless("image", archive) as image, _make_nameless("result", b"") as result:
        command = [
            *_make_command(settings),
            *("-initrd", f"/dev/fd/{image}", "-chardev", f"file,id=result,path=/dev/fd/{result}"),
            *("-serial", "stdio", "-serial", "chardev:result"),
        ]
        ended = _watch(command, timeout_s, (image, result), is_cancelled)
        given = os.pread(result, _MOST_RESULT_BYTES, 0)
    found = find_framed(given)
    if found is None or ended.boot_seconds is None:
        raise GuestLost(_explain_loss(ended, given, timeout_s), ended.console)
    return MachineRun(
        result=found,
        console=ended.console,
        boot_seconds=ended.boot_seconds,
        wall_seconds=ended.wall_seconds,
    )


def _require_host(settings: MachineSettings, archive: bytes) -> None:
    if os.uname().machine != "x86_64":
        raise LabError(
            f"this host is {os.uname().machine}, the machine an x86_64 one that runs this host's "
            "programs: the two must be the same"
        )
    read_qemu_version()
    if shutil.which("setpriv") is None:
        raise LabError("`setpriv` is not installed: install the package util-linux")
    if len(archive) * _IMAGE_SHARE > settings.memory:
        raise LabError(
            f"the machine's files have {len(archive) / _MIB:,.0f} MiB, and it has "
            f"{settings.memory / _MIB:,.0f} MiB of memory: give it at least "
            f"{len(archive) * _IMAGE_SHARE / _MIB:,.0f} MiB"
        )


@contextmanager
def _make_nameless(name: str, content: bytes) -> Iterator[int]:
    """A file without a name: nothing is left behind, however this process ends."""
    descriptor = os.memfd_create(name)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        yield descriptor
    finally:
        os.close(descriptor)


def _make_command(settings: MachineSettings) -> list[str]:
    return [
        # The kernel ends QEMU when this process dies, for whatever reason.
        *("setpriv", "--pdeathsig", "KILL", "--", _QEMU),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-M", "pc"),
        *("-cpu", settings.cpu, "-smp", "1", "-accel", "tcg,thread=single"),
        *("-icount", "shift=1,sleep=off", "-seed", str(settings.seed)),
        *("-rtc", "base=2026-01-01T00:00:00,clock=vm"),
        *("-m", f"{settings.memory // _MIB}M", "-kernel", str(settings.vmlinux)),
        *("-append", _CMDLINE),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _MachineEnd:
    console: str
    timed_out: bool
    boot_seconds: float | None
    wall_seconds: float


def _watch(
    command: Sequence[str],
    timeout_s: float,
    inherited: Sequence[int],
    is_cancelled: Callable[[], bool],
) -> _MachineEnd:
    """Run QEMU to its end or to the time-out, reading its console."""
    start = time.monotonic()
    console, boot_seconds = bytearray(), None
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=inherited,
    ) as process:
        try:
            assert process.stdout is not None  # for the type checker: we asked for a pipe
            while chunk := _read(process.stdout.fileno(), start + timeout_s, is_cancelled):
                console += chunk
                if boot_seconds is None and _STARTS in console:
                    boot_seconds = time.monotonic() - start
        finally:
            process.kill()
    return _MachineEnd(
        console=console.decode(errors="replace").replace("\r", ""),
        timed_out=chunk is None,
        boot_seconds=boot_seconds,
        wall_seconds=time.monotonic() - start,
    )


def _read(descriptor: int, deadline: float, is_cancelled: Callable[[], bool]) -> bytes | None:
    """The next console output; b"" when QEMU has ended, None when the deadline has passed."""
    while time.monotonic() < deadline:
        if is_cancelled():
            raise MachineCancelled("the machine was ended before it gave a result")
        left_s = deadline - time.monotonic()
        if select.select([descriptor], [], [], min(_LOOK_S, max(0.0, left_s)))[0]:
            return os.read(descriptor, 65536)
    return None


def _explain_loss(ended: _MachineEnd, given: bytes, timeout_s: float) -> str:
    stage = "before its program started" if ended.boot_seconds is None else "with its program"
    if ended.timed_out:
        return f"no end within {timeout_s:g} s ({stage})"
    if panic := re.search(r"Kernel panic - not syncing: (.*)", ended.console):
        return f"the kernel panicked {stage}: {panic[1]}"
    if stopped := re.search(
        r"probeplan-machine: (failed: .*|program ended with \d+)", ended.console
    ):
        damaged = " and a damaged result" if given else " and no result"
        return f"{stopped[1]}{damaged if ended.boot_seconds else ''}"
    return f"the machine stopped {stage} after {ended.wall_seconds:.1f} s"
