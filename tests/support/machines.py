"""Machines on this kernel: a Debian system of tests/support/debian_roots.py with its systemd as
process 1, in namespaces and a cgroup of v2 that end with it. One boots in a second or two, where an
emulated one takes minutes.

As in a container, /sys and /proc/sys are read-only and there is no network. But tracefs and bpf are
this machine's: what a run attaches is attached in the one kernel that there is.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from orchestrator.kernel.abi.cgroups import cgroup2_mount
from tests.support.debian_roots import DebianSystem

__all__ = ["Machine", "boot_machine"]

_SECONDS = 240.0  # on a busy machine
#: systemd(1): as `systemctl poweroff`, without a bus.
_POWER_OFF = signal.SIGRTMIN + 4
_SPACES = ("--mount", "--pid", "--uts", "--ipc", "--net")
#: The end of this process is theirs, whatever ends it.
_BOUND = ("setpriv", "--pdeathsig", "KILL", "unshare", *_SPACES, "--fork", "--kill-child")
#: usage: sh -ec _JOIN CGROUP LAYERS FOLDER SCRIPT. 0: the process that writes. What is its cgroup
#: now is the top of the hierarchy that it sees.
_JOIN = 'echo 0 >"$0/cgroup.procs"; exec unshare --cgroup sh -ec "$3" "$1" "$2"'
_BOOT = """
mount --make-rprivate /
mkdir -p "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=$0,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
hostname machine
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t tracefs tracefs sys/kernel/tracing
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do cp -a /dev/$device dev; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
cat /proc/sys/kernel/random/uuid >run/.boot-id # each boot has another, as the kernel's would be
mount --bind run/.boot-id proc/sys/kernel/random/boot_id
mkdir run/.outside
pivot_root . run/.outside
cd /
umount --lazy /run/.outside
rmdir /run/.outside
echo entered
exec env -i container=tests PATH=/usr/sbin:/usr/bin:/sbin:/bin /usr/lib/systemd/systemd \
    systemd.mask=systemd-modules-load.service >/dev/null 2>&1
"""


class Machine(DebianSystem):
    """A system whose process 1, systemd, is the child of `holder`; it runs as long as that does."""

    def __init__(self, holder: "subprocess.Popen[str]") -> None:
        self._holder = holder
        self._init = _find_child(holder.pid)
        super().__init__(["nsenter", f"--target={self._init}", *_SPACES, "--cgroup", "--"])

    def start(self, *command: str) -> "subprocess.Popen[str]":
        """Begin a command in it, outside of all units. Raises AssertionError when it is down."""
        assert self._holder.poll() is None, "the machine is down"
        return super().start(*command)

    def await_boot(self) -> str:
        """What `systemctl is-system-running` says once the boot is over. (Its `--wait` was once
        seen to miss that moment, and to wait on.)"""

        def find_end() -> str | None:
            said = self.run("systemctl", "is-system-running").stdout.strip()
            return said if said in ("running", "degraded", "maintenance", "stopping") else None

        return str(self.wait_for(find_end, "the end of the boot"))

    def show_unit(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit."""
        shown = self.do("systemctl", "show", unit, "--property", ",".join(names))
        return dict(line.split("=", 1) for line in shown.splitlines())

    def read_journal(self, unit: str) -> str:
        """The lines that a unit has written since the boot, and systemd about it."""
        return self.do("journalctl", "--boot", "--unit", unit, "--output=cat", "--no-pager")

    def configure_unit(self, unit: str, *lines: str) -> None:
        """A drop-in with settings of its [Service], as `systemctl edit` makes one."""
        text = "\n".join(["[Service]", *lines, ""])
        self.write_file(f"/etc/systemd/system/{unit}.d/tests.conf", text)
        self.do("systemctl", "daemon-reload")

    def write_file(self, path: str, text: str) -> None:
        """Make a file, and the folders that it needs."""
        self.do("sh", "-ec", 'mkdir -p "${0%/*}"; printf %s "$1" >"$0"', path, text)

    def wait_for(self, condition: Callable[[], Any], what: str, unit: str = "") -> Any:
        """What `condition` returns once it is true. Raises AssertionError after a while, with the
        journal of the unit."""
        deadline = time.monotonic() + _SECONDS
        while not (found := condition()):
            assert time.monotonic() < deadline, (what, self.read_journal(unit) if unit else "")
            time.sleep(0.1)
        return found

    def shut_down(self) -> bool:
        """End it as its power button would, or, after a while, by force: False. Nothing of it runs
        afterwards."""
        with suppress(ProcessLookupError):
            if self._holder.poll() is None:
                os.kill(self._init, _POWER_OFF)
        return _ends(self._holder)


@contextmanager
def boot_machine(layers: Sequence[Path], folder: Path) -> Iterator[Machine]:
    """A running machine. `layers`: folders with its files, the uppermost first, which stay as they
    are; what changes is in `folder`. The same `folder` again is the same machine's next boot.
    Raises AssertionError where it does not come up, or has to be ended by force."""
    cgroup = _make_cgroup()
    lower = ":".join(map(str, layers))
    script = ("sh", "-ec", _JOIN, str(cgroup), lower, str(folder), _BOOT)
    holder = subprocess.Popen(
        [*_BOUND, *script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        if holder.stdout.readline() != "entered\n":
            raise AssertionError(holder.communicate()[1])
        machine = Machine(holder)
        assert machine.await_boot() == "running", machine.do("systemctl", "--failed", "--no-pager")
        yield machine
        assert machine.shut_down(), "the machine did not shut down"
    finally:
        holder.kill()  # and process 1 with it, whose end is that of all others
        holder.communicate()
        _remove_cgroup(cgroup)


def _find_child(parent: int) -> int:
    """The only child of a process."""
    [child] = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return int(child)


def _ends(process: "subprocess.Popen[str]") -> bool:
    """Whether it ends within a while."""
    try:
        process.wait(_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _make_cgroup() -> Path:
    mount = cgroup2_mount()
    assert mount is not None, "no cgroup v2 hierarchy is mounted"
    cgroup = mount / f"probeplan-tests-{os.getpid()}-{time.monotonic_ns()}"
    cgroup.mkdir()
    return cgroup


def _remove_cgroup(cgroup: Path) -> None:
    """With those below it. The last of its processes may still be ending."""
    deadline = time.monotonic() + _SECONDS
    for folder in sorted([cgroup, *(p for p in cgroup.rglob("*") if p.is_dir())], reverse=True):
        while True:
            try:
                folder.rmdir()
                break
            except OSError:
                assert time.monotonic() < deadline, (folder / "cgroup.procs").read_text()
                time.sleep(0.01)
