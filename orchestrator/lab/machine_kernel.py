"""The kernel of a machine, as a user names it."""

import hashlib
from pathlib import Path

from orchestrator.binaries.elf_image import ElfError, Image
from orchestrator.kernel.abi.elf_notes import find_build_id
from orchestrator.lab.errors import LabError
from orchestrator.lab.given_kernel import DISTRIBUTION
from orchestrator.lab.kernels import KERNELS, fetch
from orchestrator.lab.vmlinux import SECTOR, is_boot_image
from orchestrator.values import dataclass

__all__ = ["MachineKernel", "find_machine_kernel"]

_SHA1_DIGITS = 40  # of a linker's usual build id


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineKernel:
    """`image`: a vmlinux or a bzImage. `modules`: the folder with `kernel/` and modules.builtin;
    None: none are known. `identity`: the build id, or else the digest of the file."""

    image: Path
    modules: Path | None
    identity: str


def find_machine_kernel(name: str, here: Path) -> MachineKernel:
    """The kernel `debian:SERIES`, fetched if it is not there, or the one in a file, a path from
    `here`; its modules are next to it. Raises LabError for one that there is not."""
    if name.startswith(DISTRIBUTION):
        series = name.removeprefix(DISTRIBUTION)
        if series not in KERNELS:
            known = ", ".join(f"{DISTRIBUTION}{one}" for one in KERNELS)
            raise LabError(f"there is no kernel {name!r}: known are {known}, and paths of images")
        kernel = fetch(series)
        return MachineKernel(
            image=kernel.vmlinux, modules=kernel.directory, identity=_identify(kernel.vmlinux)
        )
    image = here / name
    if not image.is_file():
        raise LabError(f"the kernel {str(image)!r} is not there: name {DISTRIBUTION}6.1 or a file")
    has_modules = (image.parent / "modules.builtin").is_file()
    return MachineKernel(
        image=image, modules=image.parent if has_modules else None, identity=_identify(image)
    )


def _identify(path: Path) -> str:
    try:
        with Image(path) as image:
            section = image.section(".notes")
            found = find_build_id(image.content(section)) if section else None
        if found is not None and len(found) == _SHA1_DIGITS:
            return found
    except ElfError:
        _require_boot_image(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_SHA1_DIGITS]


def _require_boot_image(path: Path) -> None:
    with path.open("rb") as file:
        if not is_boot_image(file.read(SECTOR * 2)):
            raise LabError(f"{str(path)!r} is neither a vmlinux nor a bzImage")
