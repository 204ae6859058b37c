"""The file that has a program's debug information.

It is in the program itself, or in a file of its build id or debug link below /usr/lib/debug (gdb's
manual, "Separate Debug Files").
"""

import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from stat import S_ISREG
from typing import Any

from orchestrator.binaries.debug_info.units import DebugInfo
from orchestrator.binaries.elf_image import ElfError, Image
from orchestrator.kernel.abi.elf_notes import find_build_id

__all__ = ["find_debug_info"]

_ROOT = Path("/usr/lib/debug")
_MOST_BYTES = 1 << 30  # of a file, and of its debug sections
_MOST_SECTIONS = 100_000
_MOST_ABBREVIATIONS = 1 << 24  # bytes; a table of them is read as a whole


def find_debug_info(path: Path) -> DebugInfo | None:
    """The debug information of a program or library, or None: there is none, it cannot be read, or
    a part of it is in a file that several share (dwz)."""
    for file in _candidates(path):
        if (dwarf := _read_dwarf(file)) is not None:
            return DebugInfo(dwarf)
    return None


def _candidates(path: Path) -> Iterator[Path]:
    """Files that may have it: the file itself, and those that it names, where they are its own."""
    yield path
    try:
        with Image(path) as image:
            section = image.section(".note.gnu.build-id")
            build_id = find_build_id(image.content(section)) if section else None
            link = image.section(".gnu_debuglink")
            named = image.content(link) if link else b""
    except ElfError:
        return
    if build_id:
        yield _ROOT / ".build-id" / build_id[:2] / f"{build_id[2:]}.debug"
    name, _, _ = named.partition(b"\0")
    if not name or b"/" in name or len(named) < 4:
        return
    checksum = int.from_bytes(named[-4:], "little")
    folder = path.resolve().parent
    label = name.decode("utf-8", "replace")
    for file in (folder / label, folder / ".debug" / label, _ROOT / str(folder)[1:] / label):
        if file != path and _has_checksum(file, checksum):
            yield file


def _has_checksum(file: Path, wanted: int) -> bool:
    """Whether it is the file of which .gnu_debuglink has the CRC-32: another build's would lie."""
    try:
        return _is_bounded(file) and zlib.crc32(file.read_bytes()) == wanted
    except OSError:
        return False


def _is_bounded(file: Path) -> bool:
    """Whether it is a regular file, of which opening and reading end. Raises OSError."""
    status = file.stat()
    return S_ISREG(status.st_mode) and status.st_size <= _MOST_BYTES


def _read_dwarf(file: Path) -> Any:
    """By pyelftools; None where there is nothing to read. The file stays open for as long as the
    process, which reads from it when a type is needed."""
    try:
        from elftools.elf.elffile import ELFFile
    except ImportError:
        return None
    try:
        if not _is_bounded(file):
            return None
        elf = ELFFile(file.open("rb"))
        return elf.get_dwarf_info(relocate_dwarf_sections=False) if _is_readable(elf) else None
    except Exception:  # noqa: BLE001, RUF100  # pyelftools raises anything for a damaged file
        return None


def _is_readable(elf: Any) -> bool:
    """Whether the file has debug information that is its own, and that is not too large when it is
    unpacked: sections are read as a whole."""
    size, names = 0, set()
    for section in islice(elf.iter_sections(), _MOST_SECTIONS):
        names.add(section.name)
        if section.name.startswith((".debug_", ".eh_frame")):
            size += section.data_size
        if section.name == ".debug_abbrev" and section.data_size > _MOST_ABBREVIATIONS:
            return False
    is_own = ".debug_info" in names and not names & {".gnu_debugaltlink", ".zdebug_info"}
    return is_own and size <= _MOST_BYTES
