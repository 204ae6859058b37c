"""Launchers: what they start is set up as it should be, and nothing of it is left in any case."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.check.measuring.repeater import poll_readable
from orchestrator.check.processes.launcher import (
    CannotStart,
    Launcher,
    LauncherGone,
    StartedProcess,
)
from orchestrator.check.processes.settings import ProcessSettings
from orchestrator.check.processes.tree import find_descendants
from tests.support.paths import ROOT
from tests.support.settling import until


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    with Launcher() as launcher:
        yield launcher


def settings(*argv: str, steady: bool = True, cpu: int | None = None) -> ProcessSettings:
    program = sys.executable if argv[0] == "python" else argv[0]
    return ProcessSettings(
        program=program,
        argv=list(argv),
        env={"LC_ALL": "C.UTF-8", "GIVEN": "yes"},
        cwd="/",
        stdin="/dev/null",
        uid=os.getuid(),
        gid=os.getgid(),
        groups=os.getgroups(),
        cpu=cpu,
        steady=steady,
    )


def wait_for(process: StartedProcess, seconds: float = 20) -> bool:
    return bool(poll_readable([process.pidfd], time.monotonic_ns() + int(seconds * 1e9)))


#: Signals 32 and 33, which the C library keeps for itself and lets no program set; make(1) leaves
#: them ignored in what it starts.
OF_THE_C_LIBRARY = 3 << 31


def output_of(launcher: Launcher, given: ProcessSettings) -> str:
    process = launcher.start(given)
    assert wait_for(process)
    assert launcher.reap(process).status == 0
    return launcher.read_output().decode()


def test_a_process_has_the_given_environment_and_nothing_of_ours(launcher: Launcher) -> None:
    text = output_of(launcher, settings("/usr/bin/env"))
    assert sorted(text.split()) == ["GIVEN=yes", "LC_ALL=C.UTF-8"]


def test_a_steady_process_has_its_addresses_and_pages_as_every_time(launcher: Launcher) -> None:
    script = "cat /proc/self/personality; grep THP_enabled /proc/self/status; cat /proc/self/maps"
    first = output_of(launcher, settings("/bin/sh", "-c", script))
    assert first.split()[0] == "00040000"
    assert "THP_enabled:\t0" in first or "THP_enabled" not in first
    again = output_of(launcher, settings("/bin/sh", "-c", script))
    assert [line.split()[0] for line in again.splitlines()] == [
        line.split()[0] for line in first.splitlines()
    ]


def test_an_unsteady_process_is_left_as_the_kernel_has_it(launcher: Launcher) -> None:
    given = settings("/bin/cat", "/proc/self/personality", steady=False)
    assert output_of(launcher, given).strip() == "00000000"


def test_a_process_is_on_its_cpu(launcher: Launcher) -> None:
    cpu = max(os.sched_getaffinity(0))
    given = settings("/bin/grep", "Cpus_allowed_list", "/proc/self/status", cpu=cpu)
    assert output_of(launcher, given).split() == ["Cpus_allowed_list:", str(cpu)]


def test_a_process_has_only_the_three_descriptors_and_no_signal_ignored(
    launcher: Launcher,
) -> None:
    listed = output_of(launcher, settings("/bin/ls", "/proc/self/fd")).split()
    assert listed == ["0", "1", "2", "3"]  # the last is that of the listing
    given = settings("/bin/grep", "-E", "Sig(Ign|Blk)", "/proc/self/status")
    blocked, ignored = (int(mask, 16) for mask in output_of(launcher, given).split()[1::2])
    assert (blocked, ignored & ~OF_THE_C_LIBRARY) == (0, 0)


def test_a_process_that_was_started_stopped_waits_and_then_runs_untraced(
    launcher: Launcher,
) -> None:
    process = launcher.start_stopped(settings("/bin/grep", "TracerPid", "/proc/self/status"))
    assert Path(f"/proc/{process.pid}/exe").resolve() == Path("/bin/grep").resolve()
    assert not poll_readable([process.pidfd], 0)
    assert until(launcher.is_asleep, 20)
    launcher.let_go(process)
    assert wait_for(process)
    assert launcher.reap(process).status == 0
    assert launcher.read_output().split() == [b"TracerPid:", b"0"]


@pytest.mark.parametrize("start", [Launcher.start, Launcher.start_stopped])
def test_a_program_that_cannot_be_executed_is_said(
    launcher: Launcher, start: Callable[[Launcher, ProcessSettings], object], tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    with pytest.raises(CannotStart, match=r"script.*No such file"):
        start(launcher, settings(str(script)))
    assert find_descendants(launcher.pid) == {}


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("kill -9 $$", -9)])
def test_how_a_process_ended_is_known(launcher: Launcher, script: str, status: int) -> None:
    process = launcher.start(settings("/bin/sh", "-c", script))
    assert wait_for(process)
    assert launcher.reap(process).status == status


def test_memory_and_times_are_the_programs_own(launcher: Launcher) -> None:
    script = "b = bytearray(100 << 20)\nfor _ in range(3_000_000): pass"
    process = launcher.start_stopped(settings("python", "-c", script))
    before_ns = launcher.time_before(process)
    launcher.let_go(process)
    assert wait_for(process)
    ended = launcher.reap(process)
    assert ended.maxrss_bytes is not None
    assert 100 << 20 < ended.maxrss_bytes < 200 << 20
    assert 0 <= before_ns < ended.user_ns + ended.sys_ns


def test_memory_that_the_launcher_hides_is_unknown(launcher: Launcher) -> None:
    process = launcher.start(settings("/bin/true"))
    assert wait_for(process)
    assert launcher.reap(process).maxrss_bytes is None


def test_descendants_that_still_run_are_found_and_killed(
    launcher: Launcher, tmp_path: Path
) -> None:
    """Also those with a separate session, whose parents have ended."""
    script = (
        'setsid sh -c \'setsid sleep 600 & : > "$0"; exec sleep 600\' "$0" >/dev/null 2>&1 &'
        'until [ -e "$0" ]; do sleep 0.01; done'
    )
    process = launcher.start(settings("/bin/sh", "-c", script, str(tmp_path / "up")))
    assert wait_for(process)
    left = launcher.reap(process).left
    assert {comm for _, comm in left} <= {"sleep", "sh", "setsid"}
    assert len(left) == 2
    assert launcher.end_all()
    assert find_descendants(launcher.pid) == {}


def test_nothing_is_left_at_its_end(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "file").touch()
    with Launcher(scratch) as launcher:
        process = launcher.start(settings("/bin/sleep", "600"))
        pid = process.pid
        process.close()
    assert not Path(f"/proc/{pid}").exists()
    assert not scratch.exists()


def test_a_launcher_whose_process_is_gone_says_so() -> None:
    with Launcher() as launcher:
        os.kill(launcher.pid, signal.SIGKILL)
        with pytest.raises(LauncherGone, match=f"process {launcher.pid}"):
            launcher.start(settings("/bin/true"))


_KILLED = """
import sys, time
from pathlib import Path
from orchestrator.check.processes.launcher import Launcher
from tests.unit.check.processes.test_launcher import settings
with Launcher(Path(sys.argv[1])) as launcher:
    stopped = sys.argv[2] == "stopped"
    start = launcher.start_stopped if stopped else launcher.start
    process = start(settings("/bin/sh", "-c", "trap '' TERM INT HUP; setsid sleep 600 & wait"))
    print(launcher.pid, process.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("when", ["stopped", "running"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_launcher_that_is_killed_leaves_no_process_and_no_scratch_folder(
    tmp_path: Path, when: str, number: signal.Signals
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    killed = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(scratch), when],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert killed.stdout is not None
    with killed.stdout:
        own, pid = map(int, killed.stdout.readline().split())
    if when == "running":
        assert until(lambda: len(find_descendants(pid)) == 1, 20)
    gone = [own, pid, *find_descendants(pid)]
    killed.send_signal(number)
    killed.wait()
    assert until(lambda: not any(Path(f"/proc/{one}").exists() for one in gone), 20)
    assert not scratch.exists()
