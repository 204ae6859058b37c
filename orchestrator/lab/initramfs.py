"""The first file system of a guest: busybox, our init, and modules, packed as a cpio archive.

The format is "newc" of Documentation/driver-api/early-userspace/buffer-format.rst.
"""

import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from orchestrator.lab.errors import LabError

INIT = Path(__file__).with_name("init.sh")
APPLETS = ("sh", "mount", "mkdir", "insmod", "ip", "chroot", "cat", "mv", "poweroff")
DIRECTORIES = ("bin", "dev", "modules", "host")
PT_INTERP = 3


def build(modules: Sequence[tuple[str, bytes]]) -> bytes:
    """The archive that boots into init.sh and loads `modules` ((name, image)) in this order."""
    entries = [_entry(name, stat.S_IFDIR | 0o755) for name in DIRECTORIES]
    entries.append(_entry("init", stat.S_IFREG | 0o755, INIT.read_bytes()))
    entries.append(_entry("bin/busybox", stat.S_IFREG | 0o755, static_busybox().read_bytes()))
    entries += [_entry(f"bin/{name}", stat.S_IFLNK | 0o777, b"busybox") for name in APPLETS]
    for number, (name, image) in enumerate(modules):
        entries.append(_entry(f"modules/{number:03}-{name}.ko", stat.S_IFREG | 0o644, image))
    entries.append(_entry("TRAILER!!!", 0))
    return b"".join(entries)


def static_busybox() -> Path:
    """Where this host's statically linked busybox is; LabError without one."""
    found = shutil.which("busybox")
    if found is None or _needs_loader(Path(found).read_bytes()):
        raise LabError("no statically linked `busybox`: install the package busybox-static")
    return Path(found)


def _needs_loader(image: bytes) -> bool:
    """Whether a 64-bit ELF file asks for a dynamic loader (a PT_INTERP program header)."""
    table, size = int.from_bytes(image[32:40], "little"), int.from_bytes(image[54:56], "little")
    count = int.from_bytes(image[56:58], "little")
    starts = range(table, table + size * count, size or 1)
    return any(int.from_bytes(image[at : at + 4], "little") == PT_INTERP for at in starts)


def _entry(name: str, mode: int, data: bytes = b"") -> bytes:
    """One newc record: a header of 6 + 13 x 8 hexadecimal digits, the name, the data."""
    ino, uid, gid, links, mtime, device, check = 0, 0, 0, 1, 0, 0, 0
    numbers = (ino, mode, uid, gid, links, mtime, len(data), device, device, device, device)
    header = b"070701" + b"".join(b"%08X" % n for n in (*numbers, len(name) + 1, check))
    return _padded(header + name.encode() + b"\0") + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
