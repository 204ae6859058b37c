"""The uncompressed kernel inside a vmlinuz, and decompression in general.

QEMU boots an uncompressed vmlinux in seconds by its PVH entry; the decompressor inside a
vmlinuz, emulated, would take longer than all the rest of the boot.
"""

import bz2
import lzma
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable

from orchestrator.lab.errors import LabError

# Offsets in the boot sector: Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header".
SETUP_SECTS, HEADER_MAGIC, VERSION, PAYLOAD_OFFSET = 0x1F1, 0x202, 0x206, 0x248
PAYLOAD_FIELDS_SINCE = 0x0208  # boot protocol 2.08
SECTOR = 512
ELF_MAGIC = b"\x7fELF"
# Documentation/arch/arm64/booting.rst, "Call the kernel image"; drivers/firmware/efi/libstub.
IMAGE_MAGIC, IMAGE_MAGIC_AT = b"ARM\x64", 56
ZBOOT, ZBOOT_AT = b"zimg", 4


def is_boot_image(start: bytes) -> bool:
    """Whether a file that begins so (two sectors are enough) is a bzImage."""
    return start[HEADER_MAGIC : HEADER_MAGIC + 4] == b"HdrS"


def _gzip(data: bytes) -> bytes:
    return zlib.decompressobj(wbits=31).decompress(data)  # 31: a gzip header, any window


def _by_tool(*command: str) -> Callable[[bytes], bytes]:
    def decompress(data: bytes) -> bytes:
        if shutil.which(command[0]) is None:
            raise LabError(f"`{command[0]}` is needed to unpack this file: install that package")
        done = subprocess.run(command, input=data, capture_output=True, check=False)
        if done.returncode:
            raise ValueError(done.stderr.decode(errors="replace").strip())
        return done.stdout

    return decompress


# The magics are those of the kernel's scripts/extract-vmlinux and lib/decompress.c.
DECOMPRESSORS: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b\x08": _gzip,
    b"\xfd7zXZ\x00": lambda data: lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(data),
    b"BZh": lambda data: bz2.BZ2Decompressor().decompress(data),
    b"\x5d\x00\x00": lambda data: lzma.LZMADecompressor(lzma.FORMAT_ALONE).decompress(data),
    b"\x28\xb5\x2f\xfd": _by_tool("zstd", "-dcq"),
    b"\x02\x21\x4c\x18": _by_tool("lz4", "-dcq"),
    b"\x89LZO": _by_tool("lzop", "-dcq"),
}


def decompress(data: bytes) -> bytes:
    """`data` unpacked by the format of its first bytes; unchanged if the format is unknown.

    Raises ValueError when the data is damaged, LabError when a tool is missing.
    """
    for magic, unpack in DECOMPRESSORS.items():
        if data.startswith(magic):
            try:
                return unpack(data)
            except (lzma.LZMAError, zlib.error, OSError, EOFError) as error:
                raise ValueError(str(error)) from error
    return data


def extract_vmlinux(vmlinuz: bytes) -> bytes:
    """The ELF image compressed inside an x86 bzImage (an ELF image is returned unchanged).

    The boot header says where the payload is, so nothing is searched for. Its last four
    bytes hold the unpacked size (arch/x86/boot/compressed/Makefile), which is checked.
    Raises LabError if this is not such an image.
    """
    if vmlinuz.startswith(ELF_MAGIC):
        return vmlinuz
    payload = _payload(vmlinuz)
    (size,) = struct.unpack("<I", payload[-4:])
    # gzip's own trailer is that size; the other formats have it appended, and tools refuse it.
    packed = payload if payload.startswith(b"\x1f\x8b") else payload[:-4]
    try:
        image = decompress(packed)
    except ValueError as error:
        raise LabError(f"the kernel image is damaged: {error}") from error
    if not image.startswith(ELF_MAGIC):
        raise LabError(f"the kernel's payload starts with {payload[:6].hex()}: no format we know")
    if len(image) != size:
        raise LabError(f"the kernel unpacks to {len(image)} bytes, but its header says {size}")
    return image


def extract_image(vmlinuz: bytes) -> bytes:
    """The uncompressed Image of an arm64 kernel: the file itself, compressed, or inside an EFI
    program that unpacks it (drivers/firmware/efi/libstub/zboot-header.S). Raises LabError for
    another file."""
    packed = vmlinuz
    if vmlinuz[ZBOOT_AT : ZBOOT_AT + len(ZBOOT)] == ZBOOT:
        start, size = struct.unpack_from("<II", vmlinuz, ZBOOT_AT + len(ZBOOT))
        packed = vmlinuz[start : start + size]
    try:
        image = decompress(packed)
    except ValueError as error:
        raise LabError(f"the kernel image is damaged: {error}") from error
    if image[IMAGE_MAGIC_AT : IMAGE_MAGIC_AT + len(IMAGE_MAGIC)] != IMAGE_MAGIC:
        raise LabError("this is no arm64 kernel image: the header's `ARM\\x64` is missing")
    return image


def _payload(vmlinuz: bytes) -> bytes:
    if not is_boot_image(vmlinuz):
        raise LabError("this is no x86 bzImage: the boot header's `HdrS` is missing")
    (version,) = struct.unpack_from("<H", vmlinuz, VERSION)
    if version < PAYLOAD_FIELDS_SINCE:
        raise LabError(f"boot protocol {version:#06x} does not say where the payload is")
    setup_sectors = vmlinuz[SETUP_SECTS] or 4  # zero means four, says boot.rst
    offset, length = struct.unpack_from("<II", vmlinuz, PAYLOAD_OFFSET)
    start = (setup_sectors + 1) * SECTOR + offset
    payload = vmlinuz[start : start + length]
    if len(payload) != length or length < 8:
        raise LabError(f"the kernel image is cut short: {len(vmlinuz)} bytes")
    return payload
