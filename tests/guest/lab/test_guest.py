"""Real guests: what a job finds there, and how a failed job differs from a lost machine."""

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.lab import GuestLost, Kernel, LabError, run_in_guest
from orchestrator.lab.__main__ import main
from orchestrator.lab.qemu import QEMU
from tests.support.guest_cases import Case, CaseFailed, CaseResult, GuestCases

BASICS = "tests.guest.basics"
PROVIDE = "tests.guest.lab.test_guest:provide_file"


def provide_file(kernel: Kernel, share: Path, name: str) -> dict[str, Any]:
    """A `prepare` function: leaves the kernel's release in a file."""
    (share / "provided").write_text(f"{name} for {kernel.release}")
    return {"name": "provided"}


@pytest.mark.guest(f"{BASICS}:describe")
def test_job_finds_the_stock_kernel_and_its_file_systems(guest: CaseResult) -> None:
    found = guest.result()
    assert found["release"] == guest.kernel.release
    assert found["kprobe_events"]
    assert found["cpus"] == 2
    assert not found["root_writable"]
    assert found["mounts"][found["home"]] == "tmpfs"
    expected = {
        "/run": "tmpfs",
        tempfile.gettempdir(): "tmpfs",
        "/proc": "proc",
        "/sys": "sysfs",
        "/sys/kernel/tracing": "tracefs",
        "/sys/kernel/debug": "debugfs",
        "/sys/fs/bpf": "bpf",
        "/sys/fs/cgroup": "cgroup2",
        found["share"]: "9p",
    }
    assert {place: found["mounts"].get(place) for place in expected} == expected


@pytest.mark.guest(f"{BASICS}:count_getppid", calls=321)
def test_kprobe_in_the_guest_counts_every_call(guest: CaseResult) -> None:
    assert guest.result() == 321


@pytest.mark.guest(f"{BASICS}:read_shared", prepare=PROVIDE, name="x")
def test_host_prepares_what_the_case_reads(guest: CaseResult) -> None:
    assert guest.result() == f"x for {guest.kernel.release}"


@pytest.mark.guest(f"{BASICS}:loaded", modules=["null_blk"], module="null_blk")
def test_wanted_module_is_loaded(guest: CaseResult) -> None:
    assert guest.result() is True


@pytest.mark.guest(f"{BASICS}:fail", text="as it should")
def test_exception_in_the_guest_comes_with_its_traceback(guest: CaseResult) -> None:
    with pytest.raises(CaseFailed, match=r"basics\.py(?s:.*)ValueError: as it should"):
        guest.result()


@pytest.mark.one_kernel
def test_failed_job_gives_its_exit_code_and_output(guest_kernel: Kernel, tmp_path: Path) -> None:
    script = "echo out; echo err >&2; echo kept > $PROBEPLAN_SHARE/file; exit 7"
    end = run_in_guest(guest_kernel, ["sh", "-c", script], share=tmp_path, timeout_s=60)
    assert (end.returncode, end.stdout, end.stderr) == (7, "out\n", "err\n")
    assert (tmp_path / "file").read_text() == "kept\n"
    assert 0 < end.boot_seconds < end.wall_seconds


@pytest.mark.one_kernel
def test_lost_case_is_told_apart_and_the_others_still_run(
    guest_kernel: Kernel, tmp_path: Path
) -> None:
    """A panic and a dead driver cost their own case only: three boots for five cases."""
    cases = GuestCases(guest_kernel, tmp_path, boot_tries=1)
    results = cases.run(
        [
            Case(id="before", call=f"{BASICS}:echo", kwargs={"value": 1}),
            Case(id="panic", call=f"{BASICS}:crash_kernel"),
            Case(id="segfault", call=f"{BASICS}:crash_process"),
            Case(id="lack", call=f"{BASICS}:lack", kwargs={"feature": "flux"}),
            Case(id="after", call=f"{BASICS}:echo", kwargs={"value": 2}),
        ]
    )
    outcomes = {name: result.outcome for name, result in results.items()}
    assert outcomes == {
        "before": "returned",
        "panic": "lost",
        "segfault": "lost",
        "lack": "unsupported",
        "after": "returned",
    }
    assert cases.boots == 3
    assert "the kernel panicked during the job: sysrq triggered crash" in str(results["panic"].lost)
    assert "Segmentation fault" in str(results["segfault"].lost)


@pytest.mark.one_kernel
@pytest.mark.timeout(100)
def test_machine_out_of_time_is_lost_and_gone(guest_kernel: Kernel, tmp_path: Path) -> None:
    with pytest.raises(GuestLost, match=r"no end within 0\.5 s"):
        run_in_guest(guest_kernel, ["sleep", "infinity"], share=tmp_path, timeout_s=0.5)
    assert not machines(tmp_path)


@pytest.mark.one_kernel
def test_machine_that_cannot_start_is_lost_with_qemus_words(
    guest_kernel: Kernel, tmp_path: Path
) -> None:
    with pytest.raises(GuestLost, match=r"before the job started(?s:.*)-m nonsense"):
        run_in_guest(guest_kernel, ["true"], share=tmp_path, timeout_s=60, memory="nonsense")


@pytest.mark.one_kernel
def test_module_that_the_kernel_lacks_is_refused_before_the_boot(
    guest_kernel: Kernel, tmp_path: Path
) -> None:
    with pytest.raises(LabError, match="module `no_such`") as caught:
        run_in_guest(guest_kernel, ["true"], share=tmp_path, timeout_s=60, modules=["no-such"])
    assert not isinstance(caught.value, GuestLost)


@pytest.mark.one_kernel
def test_command_line_passes_output_and_exit_code_on(
    guest_kernel: Kernel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["boot", guest_kernel.name, "--", "sh", "-c", "uname -r; exit 9"]) == 9
    assert capsys.readouterr().out == f"{guest_kernel.release}\n"


@pytest.mark.one_kernel
@pytest.mark.timeout(100)
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL], ids=["interrupt", "kill"])
def test_qemu_ends_with_its_owner(
    guest_kernel: Kernel, tmp_path: Path, end: signal.Signals
) -> None:
    # What is started in the background by a shell ignores interrupts, and so do its children.
    command = ["env", "--default-signal=INT", sys.executable]
    command += ["-m", "orchestrator.lab", "boot", guest_kernel.name]
    command += ["--share", str(tmp_path), "--", "sleep", "infinity"]
    with subprocess.Popen(command) as owner:
        wait_until(lambda: bool(machines(tmp_path)))
        owner.send_signal(end)
        assert owner.wait(timeout=30) == (130 if end == signal.SIGINT else -signal.SIGKILL)
    wait_until(lambda: not machines(tmp_path))


def machines(share: Path) -> list[int]:
    """The QEMUs that have this share, by pid."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # a process that has just gone
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if words[0] == QEMU.encode() and f"path={share}," in str(words):
                found.append(int(entry.name))
    return found


def wait_until(true: Callable[[], bool]) -> None:
    """Returns when it is so; a condition that never comes runs into the test's time-out."""
    while not true():
        time.sleep(0.05)


def test_a_machine_lost_before_its_first_case_is_booted_once_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A case that was started is not: its loss is its result."""
    boots = []

    def boot(_kernel: object, argv: Sequence[str], *, share: Path, **_more: object) -> None:
        boots.append(argv)
        if len(boots) > 1:
            record = {"id": "case", "outcome": "started"}
            (share / "results.jsonl").write_text(json.dumps(record) + "\n")
        raise GuestLost("gone", "")

    monkeypatch.setattr("tests.support.guest_cases.run_in_guest", boot)
    kernel = Kernel(name="6.1", release="6.1.0", directory=tmp_path)
    cases = GuestCases(kernel, tmp_path)
    results = cases.run([Case(id="case", call="x:y")])
    assert (results["case"].outcome, len(boots), len(cases.lost_boots)) == ("lost", 2, 1)
