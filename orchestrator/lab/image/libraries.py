"""The libraries and interpreters that programs need to start, found as the system finds them.

Read from the files themselves, so that nothing is run: ELF's PT_INTERP, DT_NEEDED, DT_RPATH and
DT_RUNPATH as ld.so(8) has them, and the first line of scripts as in execve(2). What a program opens
by itself later (dlopen, name services, modules of a language) is not known here.
"""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from orchestrator.binaries.elf_image import ElfError, Image
from orchestrator.binaries.ld_cache import LIBRARY_FOLDERS, cached_paths
from orchestrator.lab.errors import LabError
from orchestrator.values import dataclass

__all__ = ["FoundLibrary", "list_interpreters", "list_libraries"]

_MOST_SCRIPTS = 4  # of scripts that are interpreted by scripts (fs/exec.c, exec_binprm: 5)
_LONGEST_LINE = 256  # BINPRM_BUF_SIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLibrary:
    """A library or dynamic loader. `name`: by which it is looked up, a path for a loader. `found`:
    in a folder that the loader always searches (`usual`), in one that a file names (`named`), or in
    the loader's cache alone, which a guest does not have (`listed`)."""

    name: str
    path: Path
    found: Literal["usual", "named", "listed"] = "usual"


def list_interpreters(program: Path, search: str) -> list[Path]:
    """The programs that a script needs to start: its interpreter, the interpreter's own, and what
    env(1) starts, looked up in `search`; none for other files. Raises LabError for one that is not
    there."""
    found: list[Path] = []
    words = _read_first_line(program)
    while words and len(found) <= 2 * _MOST_SCRIPTS:
        interpreter = Path(words[0])
        if not interpreter.is_file():
            raise LabError(f"{program} needs its interpreter {words[0]}, which is not there")
        found.append(interpreter)
        if interpreter.name == "env":
            found.append(_find_by_env(program, words[1:], search))
        words = _read_first_line(found[-1])
    return found


def _read_first_line(path: Path) -> list[str]:
    """The words after `#!`; [] for a file that does not begin so."""
    try:
        with path.open("rb") as file:
            start = file.read(_LONGEST_LINE)
    except OSError as error:
        raise LabError(f"{path} cannot be packed: {error.strerror}") from None
    if not start.startswith(b"#!"):
        return []
    return start[2:].partition(b"\n")[0].decode(errors="surrogateescape").split()


def _find_by_env(program: Path, words: list[str], search: str) -> Path:
    names = [word for word in words if not word.startswith("-") and "=" not in word]
    found = shutil.which(names[0], path=search) if names else None
    if found is None:
        raise LabError(f"{program} is started by env, and {' '.join(words)!r} is not in {search}")
    return Path(found)


def list_libraries(binaries: Iterable[Path], search: Iterable[Path] = ()) -> list[FoundLibrary]:
    """What the dynamic loader needs to start these files, and what that needs, each once; nothing
    for files that are not ELF. `search`: further folders. Raises LabError for a library that is not
    there, naming the file that needs it."""
    found: dict[str, FoundLibrary] = {}
    left = list(binaries)
    while left:
        for library in _list_needed(left.pop(), tuple(search)):
            if library.name not in found:
                found[library.name] = library
                left.append(library.path)
    return sorted(found.values(), key=lambda library: library.name)


def _list_needed(binary: Path, search: tuple[Path, ...]) -> Iterator[FoundLibrary]:
    try:
        with Image(binary) as image:
            loader, folders, names = image.interpreter, image.library_folders, image.needed
            machine = image.machine
    except ElfError:
        return
    if loader:
        if not Path(loader).is_file():
            raise LabError(f"{binary} needs the loader {loader}, which is not there")
        yield FoundLibrary(name=loader, path=Path(loader))
    origin = str(binary.resolve().parent)
    own = [Path(_fill_origin(folder, origin)) for folder in folders]
    for name in names:
        yield _find_library(binary, name, [*own, *search], machine)


def _fill_origin(folder: str, origin: str) -> str:
    return folder.replace("${ORIGIN}", origin).replace("$ORIGIN", origin)


def _find_library(binary: Path, name: str, own: list[Path], machine: int) -> FoundLibrary:
    if "/" in name:
        candidates: list[tuple[Path, Literal["usual", "named", "listed"]]] = [(Path(name), "usual")]
    else:
        usual = [Path("/") / folder for folder in LIBRARY_FOLDERS]
        candidates = [(folder / name, "named") for folder in own]
        candidates += [(folder / name, "usual") for folder in usual]
        candidates += [(Path(path), "listed") for path in cached_paths(Path("/"), name)]
    for path, found in candidates:
        if _is_for(path, machine):
            return FoundLibrary(name=name, path=path, found=found)
    raise LabError(
        f"{binary} needs the library {name}, which is neither in its own folders, nor in the usual "
        "ones, nor in /etc/ld.so.cache: install the package that has it"
    )


def _is_for(path: Path, machine: int) -> bool:
    try:
        with Image(path) as image:
            return image.machine == machine
    except ElfError:
        return False
