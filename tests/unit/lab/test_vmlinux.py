"""The kernel inside a vmlinuz, on images put together here."""

import bz2
import gzip
import lzma
import os
import struct
import subprocess
from collections.abc import Callable

import pytest

from orchestrator.lab.errors import LabError
from orchestrator.lab.vmlinux import decompress, extract_image, extract_vmlinux

KERNEL = b"\x7fELF" + os.urandom(70_000) + bytes(30_000)


def tool(*command: str) -> Callable[[bytes], bytes]:
    return lambda data: subprocess.run(command, input=data, capture_output=True, check=True).stdout


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
    "bzip2": bz2.compress,
    "zstd": tool("zstd", "-cq"),
    "lz4": tool("lz4", "-lcq"),
}


def payload(kind: str, size: int = len(KERNEL)) -> bytes:
    packed = COMPRESSORS[kind](KERNEL)
    return packed if kind == "gzip" else packed + struct.pack("<I", size)


def bzimage(payload: bytes, *, setup_sectors: int = 3, offset: int = 100) -> bytes:
    """A boot image with its header filled in as boot.rst says, and decoys around the payload."""
    header = bytearray(1024)
    header[0x1F1] = setup_sectors
    header[0x202:0x208] = b"HdrS" + struct.pack("<H", 0x020F)
    struct.pack_into("<II", header, 0x248, offset, len(payload))
    decoy = b"\x1f\x8b\x08\xfd7zXZ\x00" * 100
    setup = bytes(header).ljust(((setup_sectors or 4) + 1) * 512, b"\xcc")
    return setup + decoy[:offset] + payload + decoy


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_kernel_comes_out_of_every_compression(kind: str) -> None:
    assert extract_vmlinux(bzimage(payload(kind))) == KERNEL


def test_no_setup_sectors_mean_four() -> None:
    assert extract_vmlinux(bzimage(payload("xz"), setup_sectors=0)) == KERNEL


def test_unpacked_kernel_is_left_as_it_is() -> None:
    assert extract_vmlinux(KERNEL) == KERNEL


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"no kernel" * 500, "no x86 bzImage"),
        (bzimage(payload("xz"))[:2000], "cut short"),
        (bzimage(payload("xz", size=5)), "its header says 5"),
        (bzimage(payload("xz")[:-500]), "says"),
        (bzimage(b"\xfd7zXZ\x00" + bytes(500)), "damaged"),
        (bzimage(b"\x28\xb5\x2f\xfd" + b"\xff" * 500), "damaged"),
        (bzimage(b"strange bytes"), "no format we know"),
    ],
)
def test_bad_image_is_refused_with_its_reason(image: bytes, reason: str) -> None:
    with pytest.raises(LabError, match=reason):
        extract_vmlinux(image)


def test_plain_data_passes_through_decompress() -> None:
    assert decompress(b"plain") == b"plain"


TORN = lzma.compress(bytes(99))[:20] + b"~" * 60
IMAGE = bytes(56) + b"ARM\x64" + bytes(range(256))


def in_efi_program(kind: str) -> bytes:
    """As CONFIG_EFI_ZBOOT packs it: the payload's place and size follow the magic."""
    packed = COMPRESSORS[kind](IMAGE)
    head = b"MZ\0\0zimg" + struct.pack("<II", 512, len(packed))
    return head.ljust(512, b"\0") + packed + b"trailer"


@pytest.mark.parametrize(
    "vmlinuz",
    [IMAGE, gzip.compress(IMAGE), in_efi_program("gzip"), in_efi_program("zstd")],
    ids=["plain", "gzip", "efi gzip", "efi zstd"],
)
def test_an_arm64_image_is_found_as_it_is_packed_or_in_an_efi_program(vmlinuz: bytes) -> None:
    assert extract_image(vmlinuz) == IMAGE


@pytest.mark.parametrize(
    ("vmlinuz", "why"),
    [
        (KERNEL, "no arm64 kernel"),
        (b"", "no arm64 kernel"),
        (TORN, "damaged"),
    ],
    ids=["x86", "empty", "torn"],
)
def test_what_is_no_arm64_image_is_refused(vmlinuz: bytes, why: str) -> None:
    with pytest.raises(LabError, match=why):
        extract_image(vmlinuz)
