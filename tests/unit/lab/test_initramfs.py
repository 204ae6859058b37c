"""The archive that a guest boots into, read back by cpio itself."""

import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrator.lab import initramfs
from orchestrator.lab.errors import LabError

MODULES = [("zz_first", b"\x7fELF one"), ("aa_second", b"\x7fELF two!")]


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    archive = initramfs.build(MODULES, initramfs.static_busybox())
    subprocess.run(["cpio", "-i", "--quiet"], input=archive, cwd=tmp_path, check=True)
    return tmp_path


def test_init_is_ours_and_executable(unpacked: Path) -> None:
    init = unpacked / "init"
    assert init.read_bytes() == initramfs.INIT.read_bytes()
    assert init.stat().st_mode & 0o777 == 0o755


def test_modules_sort_in_the_order_given(unpacked: Path) -> None:
    """init.sh loads them as the shell's pattern sorts them."""
    files = sorted((unpacked / "modules").iterdir())
    assert [file.read_bytes() for file in files] == [image for _, image in MODULES]


def test_every_command_of_init_is_an_applet_of_the_busybox_inside(unpacked: Path) -> None:
    offered = subprocess.check_output([unpacked / "bin/busybox", "--list"], text=True).split()
    links = {link.name for link in (unpacked / "bin").iterdir() if link.is_symlink()}
    assert links == set(initramfs.APPLETS)
    assert links <= set(offered)


def test_init_has_no_syntax_error() -> None:
    subprocess.run(["busybox", "sh", "-n", initramfs.INIT], check=True)


def test_busybox_that_needs_a_loader_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy("/bin/cat", tmp_path / "busybox")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match="busybox-static"):
        initramfs.static_busybox()
