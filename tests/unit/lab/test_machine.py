"""What a machine gives back, and what is said when it gives nothing; without booting one."""

import stat
from pathlib import Path

import pytest

from orchestrator.lab import machine_command
from orchestrator.lab import qemu as emulator
from orchestrator.lab.errors import GuestLost, LabError
from orchestrator.lab.machine import run_machine
from orchestrator.lab.machine_command import MachineSettings
from orchestrator.output.framed_bytes import frame_bytes

SETTINGS = MachineSettings(vmlinux=Path("vmlinux"))


@pytest.fixture
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for QEMU: a script that a test fills in; `result` is its second serial line."""
    script = tmp_path / "qemu-system-x86_64"
    monkeypatch.setattr(emulator, "QEMU", str(script))
    return script


def play(script: Path, lines: str) -> None:
    start = (
        "#!/bin/sh\ncase $1 in --version) echo 'QEMU emulator version 7.2.22 (x)'; exit;; esac\n"
    )
    find = "for word; do case $word in file,*) result=${word##*path=};; esac; done\n"
    script.write_text(start + find + lines)
    script.chmod(stat.S_IRWXU)
    machine_command.read_qemu_version.cache_clear()


def test_the_result_is_what_the_program_wrote(qemu: Path, tmp_path: Path) -> None:
    result = bytes(range(256)) * 1000
    written = frame_bytes(result).replace(b"\n", b"\r\n")  # as a terminal line has it
    (tmp_path / "written").write_bytes(b"noise\r\n" + written)
    play(qemu, f"echo 'probeplan-machine: program starts'; cat {tmp_path}/written >$result\n")
    run = run_machine(SETTINGS, b"image", 60)
    assert run.result == result
    assert "program starts" in run.console


def test_a_damaged_result_is_no_result(qemu: Path, tmp_path: Path) -> None:
    written = frame_bytes(b"figures").replace(b"probeplan-result 0", b"probeplan-result 1")
    digest = written.split()[1]
    written = written.replace(digest, bytes(reversed(digest)))
    (tmp_path / "written").write_bytes(written)
    lines = (
        "echo 'probeplan-machine: program starts'; echo 'probeplan-machine: program ended with 0'"
    )
    play(qemu, f"{lines}; cat {tmp_path}/written >$result\n")
    with pytest.raises(GuestLost, match="program ended with 0 and a damaged result"):
        run_machine(SETTINGS, b"image", 60)


@pytest.mark.parametrize(
    ("console", "reason"),
    [
        ("", "the machine stopped before its program started"),
        ("Kernel panic - not syncing: Oops", "the kernel panicked before its program .*: Oops"),
        ("probeplan-machine: failed: mount", "failed: mount"),
        (
            "probeplan-machine: program starts\nprobeplan-machine: program ended with 1",
            "program ended with 1 and no result",
        ),
    ],
)
def test_a_lost_machine_is_told_by_its_console(qemu: Path, console: str, reason: str) -> None:
    play(qemu, f"printf '%s\\n' '{console}'\n")
    with pytest.raises(GuestLost, match=f"guest lost: {reason}"):
        run_machine(SETTINGS, b"image", 60)


def test_a_machine_that_does_not_end_is_ended(qemu: Path) -> None:
    play(qemu, "exec sleep 600\n")
    with pytest.raises(GuestLost, match=r"no end within 0.5 s \(before its program started\)"):
        run_machine(SETTINGS, b"image", 0.5)


def test_an_image_that_does_not_fit_into_memory_is_refused(qemu: Path) -> None:
    play(qemu, "exit 1\n")
    small = MachineSettings(vmlinux=Path("vmlinux"), memory=4 << 20)
    with pytest.raises(
        LabError, match=r"files have 3 MiB, and it has 4 MiB .*: give it at least 9"
    ):
        run_machine(small, bytes(3 << 20), 60)


def test_a_missing_qemu_is_named(qemu: Path) -> None:
    machine_command.read_qemu_version.cache_clear()
    with pytest.raises(LabError, match="install the package qemu-system-x86"):
        run_machine(SETTINGS, b"", 60)
