"""The first file system of a guest: busybox, our init, and modules, packed as a cpio archive."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from orchestrator.lab.errors import LabError
from orchestrator.lab.image.archive import make_file, make_folder, make_link, pack_archive

INIT = Path(__file__).with_name("init.sh")
APPLETS = ("sh", "mount", "mkdir", "insmod", "ip", "chroot", "cat", "mv", "poweroff", "switch_root")
DIRECTORIES = ("bin", "dev", "modules", "host")
PT_INTERP = 3


def build(modules: Sequence[tuple[str, bytes]], busybox: Path) -> bytes:
    """The archive that boots into init.sh by the static program `busybox` and loads `modules`
    ((name, image)) in this order."""
    entries = [make_folder(name) for name in DIRECTORIES]
    entries.append(make_file("init", INIT.read_bytes(), executable=True))
    entries.append(make_file("bin/busybox", busybox.read_bytes(), executable=True))
    entries += [make_link(f"bin/{name}", "busybox") for name in APPLETS]
    for number, (name, image) in enumerate(modules):
        entries.append(make_file(f"modules/{number:03}-{name}.ko", image))
    return pack_archive(entries)


def static_busybox(userland: Path | None = None) -> Path:
    """Where the statically linked busybox is, this host's or that of a userland; LabError without
    one."""
    search = None if userland is None else f"{userland}/usr/bin"
    found = shutil.which("busybox", path=search)
    if found is None or _needs_loader(Path(found).read_bytes()):
        raise LabError("no statically linked `busybox`: install the package busybox-static")
    return Path(found)


def _needs_loader(image: bytes) -> bool:
    """Whether a 64-bit ELF file asks for a dynamic loader (a PT_INTERP program header)."""
    table, size = int.from_bytes(image[32:40], "little"), int.from_bytes(image[54:56], "little")
    count = int.from_bytes(image[56:58], "little")
    starts = range(table, table + size * count, size or 1)
    return any(int.from_bytes(image[at : at + 4], "little") == PT_INTERP for at in starts)
