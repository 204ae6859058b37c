"""One job in one freshly booted guest.

The guest is a small machine under QEMU's software emulation. It sees this host's root file
system read-only at the same paths, with its own /proc, /sys, /dev and empty /run, /tmp and
/var/tmp, and one writable folder of the host, the share. With `overlay` it can write to this host's
files as well: what it writes stays in its memory, and /tmp and /var/tmp are the host's, too.

A kernel of another architecture has separate programs (image/userland.py), read-only too, and this
host's files below /host.
"""

import os
import platform
import selectors
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from orchestrator.kernel.abi.memory_file import hold_in_memory
from orchestrator.lab import initramfs
from orchestrator.lab.console import describe_loss, read_console
from orchestrator.lab.errors import GuestLost, LabError
from orchestrator.lab.image.userland import GUEST_HOST, GUEST_PYTHON3, fetch_userland
from orchestrator.lab.kernels import Kernel
from orchestrator.lab.modules import load_order
from orchestrator.lab.qemu import EMULATORS, list_starting_words, require_qemu
from orchestrator.values import dataclass

GUEST_SHARE = Path("/run/share")
REPORT = ".guest"  # the folder of the share with the job, its output and its exit code
JOB_STARTS = b"probeplan-guest: job starts"
BOOT_MODULES = ("virtio_pci", "9pnet_virtio", "9p")
OVERLAY, OVERLAY_MODULE = "probeplan_files=overlay", "overlay"
ROOT = "probeplan_root="
AS_INIT = "probeplan_job=init"
LOOK_S = 0.05
# quiet: an emulated serial line is slow. oops=panic: after an oops the kernel proves nothing.
# nokaslr, mitigations=off, tsc=reliable, no_timer_check: measured, each shortens the boot.
CMDLINE = "quiet panic=-1 oops=panic nokaslr mitigations=off"
CMDLINES = {"x86_64": f"{CMDLINE} tsc=reliable no_timer_check", "aarch64": CMDLINE}
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/tmp",  # noqa: S108  (inside the guest, where it is a separate, empty tmpfs)
    "XDG_CACHE_HOME": "/tmp/.cache",  # noqa: S108
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PROBEPLAN_SHARE": str(GUEST_SHARE),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestResult:
    """A job that ended. `boot_seconds`: from QEMU's start to the job's; `wall_seconds`: all."""

    returncode: int
    stdout: str
    stderr: str
    console: str
    boot_seconds: float
    wall_seconds: float


class GuestObserver(Protocol):
    """Follows a job before it ends."""

    def job_started(self, boot_seconds: float) -> None:
        """Called once, `boot_seconds` after QEMU's start."""

    def look(self) -> None:
        """Called about twenty times a second while QEMU runs, and once when it has ended."""


def run_in_guest(  # noqa: PLR0913  (a machine has this many knobs; all but three have defaults)
    kernel: Kernel,
    argv: Sequence[str],
    *,
    share: Path,
    timeout_s: float,
    cpus: int = 2,
    memory: str = "2G",
    extra_cmdline: str = "",
    modules: Iterable[str] = (),
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    overlay: bool = False,
    as_init: bool = False,
    observer: GuestObserver | None = None,
) -> GuestResult:
    """Boots `kernel`, runs `argv` there as root, powers off; takes about 5 s longer than the job.

    `argv` and `env` are the guest's; `cwd` is a folder of this host, as a rule the current one.
    `share` is the host folder that the guest has as /run/share (also in PROBEPLAN_SHARE); its
    .guest subfolder is ours. `modules` are loaded with what they need before the job starts.
    `env` adds to a small fixed environment. The job's output grows in the files stdout and stderr
    of .guest, where `observer` may look. QEMU never outlives the call or the calling thread.
    `as_init`: the job is the guest's first process, such as an init system. It has to write its
    exit code to .guest/code, and to power off.

    Raises GuestLost when the machine gave no exit code within `timeout_s` seconds, LabError
    when it cannot be started.
    """
    require_host(kernel.arch)
    userland = fetch_userland(kernel.arch) if is_foreign(kernel) else None
    if userland and overlay:
        raise LabError(f"the kernel {kernel.name} has separate programs: they have no overlay")
    folder = find_in_guest(kernel, cwd or Path.cwd())
    report = _prepare(share, argv, cwd=folder, env=ENVIRONMENT | dict(env or {}))
    wanted = (*BOOT_MODULES, *((OVERLAY_MODULE,) if overlay else ()), *modules)
    busybox = initramfs.static_busybox(userland)
    image = initramfs.build(load_order(kernel.modules, wanted), busybox)
    with hold_in_memory(image, "initramfs") as archive:
        machine = ["-m", memory, "-smp", str(cpus), "-initrd", f"/proc/self/fd/{archive}"]
        console = f"console={EMULATORS[kernel.arch].console}"
        root = f"{ROOT}{_unspaced(userland)}" if userland else ""
        more = (OVERLAY if overlay else "", AS_INIT if as_init else "", root, extra_cmdline)
        cmdline = (console, CMDLINES[kernel.arch], *more)
        machine += ["-append", " ".join(part for part in cmdline if part)]
        command = [*_qemu(kernel, share), *machine]
        watched = _watch(command, timeout_s, archive, observer)
    return _outcome(report, watched, timeout_s)


def require_host(arch: str = "x86_64") -> None:
    """Raises LabError where no guest can be started here, with what to install."""
    if arch == "x86_64" and platform.machine() != arch:
        raise LabError(
            f"this host is {platform.machine()}, the kernels are x86_64: a guest runs this "
            "host's own programs, so the two must be the same"
        )
    require_qemu(arch)
    if arch == platform.machine():
        initramfs.static_busybox()


def is_foreign(kernel: Kernel) -> bool:
    """Whether a guest with this kernel runs programs other than this host's."""
    return kernel.arch != platform.machine()


def find_in_guest(kernel: Kernel, path: Path) -> Path:
    """Where a guest with this kernel sees a file of this host."""
    return GUEST_HOST / path.absolute().relative_to("/") if is_foreign(kernel) else path


def find_python(kernel: Kernel) -> str:
    """The Python interpreter of a guest with this kernel."""
    return GUEST_PYTHON3 if is_foreign(kernel) else sys.executable


def _unspaced(path: Path) -> Path:
    """A path for the kernel's command line, which has no way to quote a blank for init."""
    if any(letter.isspace() for letter in str(path)):
        raise LabError(
            f"{str(path)!r} has a blank in its name: set PROBEPLAN_CACHE to a folder without one"
        )
    return path


def _prepare(share: Path, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Path:
    """Writes the job where init.sh looks for it; returns the folder of its report."""
    report = share / REPORT
    shutil.rmtree(report, ignore_errors=True)
    report.mkdir(parents=True)
    exports = [f"export {name}={shlex.quote(value)}" for name, value in env.items()]
    lines = [*exports, f"cd {shlex.quote(str(cwd))} || exit 126", f"exec {shlex.join(argv)}", ""]
    (report / "job").write_text("\n".join(lines))
    return report


def _qemu(kernel: Kernel, share: Path) -> list[str]:
    root = "local,path=/,mount_tag=hostroot,security_model=none,readonly=on,multidevs=remap"
    # QEMU that is not root cannot give files the owner that they have in the guest. There, root
    # would find itself surrounded by another user's files, so owners are kept in files apart.
    owners = "none" if os.geteuid() == 0 else "mapped-file"
    ours = f"local,path={_escaped(share)},mount_tag=share,security_model={owners},multidevs=remap"
    return [
        *list_starting_words(kernel.arch),
        *("-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"),
        # CPUs take turns in one thread. With a thread each, QEMU 7.2 sometimes runs code that
        # the guest has just patched, and the guest dies of a stray breakpoint (seen: an int3
        # in try_to_wake_up next to a static key that was switched, while probes came and went).
        *(*EMULATORS[kernel.arch].board, "-accel", "tcg,thread=single"),
        *("-virtfs", root, "-virtfs", ours, "-kernel", str(kernel.vmlinux)),
    ]


def _escaped(path: Path) -> str:
    return str(path.resolve()).replace(",", ",,")  # QEMU's option lists double their commas


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watched:
    console: str
    timed_out: bool
    boot_seconds: float | None
    wall_seconds: float


def _watch(
    command: Sequence[str], timeout_s: float, inherited: int, observer: GuestObserver | None
) -> _Watched:
    """Runs QEMU to its end or to the time-out, reading its console."""
    start = time.monotonic()
    console, boot_seconds, timed_out = bytearray(), None, False
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=[inherited],
    ) as process:
        try:
            while (chunk := _read(process, LOOK_S)) != b"" and not timed_out:
                console += chunk or b""
                if boot_seconds is None and JOB_STARTS in console:
                    boot_seconds = time.monotonic() - start
                    if observer is not None:
                        observer.job_started(boot_seconds)
                if observer is not None:
                    observer.look()
                timed_out = time.monotonic() >= start + timeout_s
        finally:
            process.kill()
    if observer is not None:
        observer.look()
    return _Watched(
        console=read_console(console),
        timed_out=timed_out,
        boot_seconds=boot_seconds,
        wall_seconds=time.monotonic() - start,
    )


def _read(process: subprocess.Popen[bytes], patience_s: float) -> bytes | None:
    """The next console output; b"" when QEMU has ended, None when there was none so long."""
    assert process.stdout is not None  # for the type checker: we asked for a pipe
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(patience_s):
            return None
    return os.read(process.stdout.fileno(), 65536)


def _outcome(report: Path, watched: _Watched, timeout_s: float) -> GuestResult:
    code = report / "code"
    if not code.exists() or watched.boot_seconds is None:
        raise GuestLost(_why_lost(watched, timeout_s), watched.console)
    return GuestResult(
        returncode=int(code.read_text()),
        stdout=(report / "stdout").read_text(errors="replace"),
        stderr=(report / "stderr").read_text(errors="replace"),
        console=watched.console,
        boot_seconds=watched.boot_seconds,
        wall_seconds=watched.wall_seconds,
    )


def _why_lost(watched: _Watched, timeout_s: float) -> str:
    stage = "before the job started" if watched.boot_seconds is None else "during the job"
    return describe_loss(
        watched.console,
        stage=stage,
        is_late=watched.timed_out,
        timeout_s=timeout_s,
        wall_seconds=watched.wall_seconds,
    )
