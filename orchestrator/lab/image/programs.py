"""Programs of this host in a guest's file system, each with what it needs to start."""

from collections.abc import Iterable
from pathlib import Path

from orchestrator.lab.image.file_tree import FileTree
from orchestrator.lab.image.libraries import FoundLibrary, list_interpreters, list_libraries

__all__ = ["add_libraries", "add_program"]

_LIBC = "libc.so.6"  # of glibc: it is in a folder that the loader searches by itself


def add_program(tree: FileTree, program: Path, search: str) -> None:
    """Add a program at its own path, with its interpreters and all their libraries. `search`: the
    PATH by which env(1) finds what it starts. Raises LabError for what is not there."""
    files = [program, *list_interpreters(program, search)]
    for file in files:
        tree.add_host_path(file)
    add_libraries(tree, files)


def add_libraries(tree: FileTree, binaries: Iterable[Path], *, moved: bool = False) -> None:
    """Add the libraries that these files are linked to. `moved`: the files themselves are at other
    paths in the guest, from where the folders that they name may be others. Raises LabError for one
    that is not there."""
    libraries = list_libraries(binaries)
    for library in libraries:
        tree.add_host_path(library.path)
        is_lost = library.found == "listed" or (moved and library.found == "named")
        if is_lost and (folder := _find_usual_folder(libraries)):
            tree.make_link(str(folder / library.name), str(library.path))


def _find_usual_folder(libraries: Iterable[FoundLibrary]) -> Path | None:
    """Where a loader without a cache finds a library."""
    found = (one.path.resolve().parent for one in libraries if one.name == _LIBC)
    return next(found, None)
