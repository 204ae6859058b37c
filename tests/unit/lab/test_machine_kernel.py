"""The kernel of a machine, as a user names it."""

import subprocess
from pathlib import Path

import pytest

from orchestrator.lab.errors import LabError
from orchestrator.lab.machine_kernel import find_machine_kernel


def test_an_unknown_series_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        LabError, match=r"no kernel 'debian:1.0': known are debian:5.10, debian:6.1"
    ):
        find_machine_kernel("debian:1.0", tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=f"the kernel '{tmp_path}/vmlinux' is not there"):
        find_machine_kernel("vmlinux", tmp_path)


def test_a_file_that_is_no_kernel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vmlinux").write_text("no kernel at all")
    with pytest.raises(LabError, match="is neither a vmlinux nor a bzImage"):
        find_machine_kernel("vmlinux", tmp_path)


def test_a_vmlinux_is_known_by_its_build_id(tmp_path: Path) -> None:
    """Two files with one build id are one kernel; without one, the content is."""
    command = ["gcc", "-x", "c", "-", "-nostdlib", "-o", str(tmp_path / "vmlinux")]
    flags = [f"-Wl,--build-id=0x{'ab' * 20}", "-static"]
    subprocess.run([*command, *flags], input=b"void _start(void) {}", check=True)
    section = ["objcopy", "--rename-section", ".note.gnu.build-id=.notes"]
    subprocess.run([*section, str(tmp_path / "vmlinux")], check=True)
    kernel = find_machine_kernel("vmlinux", tmp_path)
    assert kernel.identity == "ab" * 20
    assert kernel.modules is None
    subprocess.run(
        [*command, "-static", "-Wl,--build-id=none"], input=b"void _start(void) {}", check=True
    )
    assert find_machine_kernel("vmlinux", tmp_path).identity != "ab" * 20


def test_a_boot_image_is_known_by_its_content_and_has_modules_next_to_it(tmp_path: Path) -> None:
    (tmp_path / "bzImage").write_bytes(bytes(0x202) + b"HdrS" + bytes(100))
    (tmp_path / "modules.builtin").write_text("")
    kernel = find_machine_kernel("bzImage", tmp_path)
    assert len(kernel.identity) == 40
    assert kernel.modules == tmp_path
