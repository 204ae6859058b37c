"""Kernels as users name them."""

import struct
from pathlib import Path

import pytest

from orchestrator.lab import LabError
from orchestrator.lab.given_kernel import find_kernel, release_of
from orchestrator.lab.kernels import Kernel

RELEASE = "6.8.0-41-generic"


def boot_image(version: bytes = b"6.8.0-41-generic (builder@host) #41 SMP\0") -> bytes:
    """The start of a bzImage: boot.rst's header, and the text that it points at."""
    image = bytearray(0x2000)
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", image, 0x20E, 0x1000)
    image[0x1200 : 0x1200 + len(version)] = version
    return bytes(image)


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "modules.builtin").touch()
    return tmp_path / "modules"


@pytest.mark.parametrize(
    ("image", "release"),
    [
        (boot_image(), RELEASE),
        (b"\x7fELF" + b"x" * 99 + b"\0Linux version 6.9.0-rc1+ (me@here) (gcc)", "6.9.0-rc1+"),
        (b"\x7fELF, but no kernel", None),
        (b"#!/bin/sh", None),
        (boot_image(b"\0"), None),
    ],
)
def test_the_release_is_read_from_the_image(image: bytes, release: str | None) -> None:
    assert release_of(image) == release


@pytest.mark.parametrize("name", ["6.1", "debian:6.1"])
def test_a_series_is_fetched(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    fetched = Kernel(name="6.1", release="6.1.0", directory=Path("/cache"))
    monkeypatch.setattr("orchestrator.lab.given_kernel.fetch", {"6.1": fetched}.__getitem__)
    assert find_kernel(name) is fetched
    with pytest.raises(LabError, match="has its own modules"):
        find_kernel(name, modules=Path("/x"))


def test_a_file_boots_with_its_modules(tmp_path: Path, modules: Path) -> None:
    image = tmp_path / "vmlinuz"
    image.write_bytes(boot_image())
    kernel = find_kernel(str(image), modules=modules)
    assert (kernel.release, kernel.vmlinux, kernel.modules) == (RELEASE, image, modules)


def test_what_is_missing_is_named(tmp_path: Path, modules: Path) -> None:
    image = tmp_path / "vmlinuz"
    image.write_bytes(boot_image())
    with pytest.raises(LabError, match=rf"'/lib/modules/{RELEASE}' has no modules\.builtin"):
        find_kernel(str(image))
    with pytest.raises(LabError, match=r"'4\.19': known are 5\.10, 6\.1"):
        find_kernel("4.19")
    with pytest.raises(LabError, match="cannot be read: No such file"):
        find_kernel(str(tmp_path / "none"), modules=modules)
    image.write_bytes(b"text")
    with pytest.raises(LabError, match="neither an x86 kernel image"):
        find_kernel(str(image), modules=modules)
