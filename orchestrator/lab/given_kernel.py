"""A kernel as a user names it: one of the lab's, or a file with its modules next to it."""

import re
import struct
from pathlib import Path

from orchestrator.lab.errors import LabError
from orchestrator.lab.kernels import KERNELS, Kernel, fetch
from orchestrator.lab.vmlinux import ELF_MAGIC, is_boot_image

DISTRIBUTION = "debian:"
MODULES = Path("/lib/modules")
# Documentation/arch/x86/boot.rst, "kernel_version": where its text is, less the boot sector.
_VERSION_POINTER, _BOOT_SECTOR, _LONGEST_RELEASE = 0x20E, 0x200, 64  # uapi/linux/utsname.h


def find_kernel(name: str, *, modules: Path | None = None) -> Kernel:
    """The kernel `name`: `6.1` or `debian:6.1`, fetched if need be, or the path of a vmlinuz or
    vmlinux. `modules`: what is /lib/modules/RELEASE where that kernel runs (the default).

    Raises LabError, which says what is missing.
    """
    series = name.removeprefix(DISTRIBUTION)
    if series in KERNELS:
        if modules is not None:
            raise LabError(f"the kernel {name!r} has its own modules: name no others")
        return fetch(series)
    if "/" not in name and not Path(name).exists():
        raise LabError(
            f"there is no kernel {name!r}: known are {', '.join(KERNELS)} (Debian's, also written "
            f"{DISTRIBUTION}6.1), and paths of a vmlinuz or vmlinux"
        )
    return _kernel_from_file(Path(name), modules)


def _kernel_from_file(path: Path, modules: Path | None) -> Kernel:
    try:
        image = path.read_bytes()
    except OSError as error:
        raise LabError(f"the kernel {str(path)!r} cannot be read: {error.strerror}") from None
    release = release_of(image)
    if release is None:
        raise LabError(
            f"{str(path)!r} is neither an x86 kernel image (bzImage, as /boot/vmlinuz-RELEASE) nor "
            "an uncompressed vmlinux"
        )
    directory = modules or MODULES / release
    if not (directory / "modules.builtin").is_file():
        raise LabError(
            f"the kernel {release} boots with modules for virtio and 9p, and {str(directory)!r} "
            "has no modules.builtin: name the folder that is /lib/modules/RELEASE where this "
            "kernel runs (of a build: `make modules_install INSTALL_MOD_PATH=DIR`, then "
            "DIR/lib/modules/RELEASE)"
        )
    return Kernel(name=str(path), release=release, directory=directory, image=path.resolve())


def release_of(image: bytes) -> str | None:
    """What `uname -r` says under this bzImage or ELF image; None where it is neither."""
    if image.startswith(ELF_MAGIC):
        found = re.search(rb"Linux version ([\w.+~-]{1,64}) \(", image)
        return found[1].decode() if found else None
    if not is_boot_image(image):
        return None
    (pointer,) = struct.unpack_from("<H", image, _VERSION_POINTER)
    start = pointer + _BOOT_SECTOR
    found = re.match(rb"[\w.+~-]+", image[start : start + _LONGEST_RELEASE])
    return found[0].decode() if pointer and found else None
