"""A Python for guests, apart from any that a workload uses: interpreter, library and packages.

Modules are packed compiled, without their sources, since compiling takes most of the start in an
emulated machine. They are compiled by a separate process that has nothing else loaded: what marshal
writes depends on how often a string is used elsewhere in the process.
"""

import base64
import json
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from orchestrator.lab.errors import LabError, tail
from orchestrator.lab.image.file_tree import FileTree
from orchestrator.lab.image.programs import add_libraries

__all__ = ["GUEST_PACKAGES", "GUEST_PYTHON", "add_packages", "add_python"]

_HOME = "/probeplan/python"
_VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
#: The interpreter. It finds its library from where it is, without the environment.
GUEST_PYTHON = f"{_HOME}/bin/{_VERSION}"
#: Where packages are; it is not among the interpreter's own folders.
GUEST_PACKAGES = "/probeplan/packages"
#: Parts of the library that nothing in a guest uses, at its top.
_LEFT_OUT = frozenset(
    {
        *("test", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "pydoc_data", "venv"),
        *("site-packages", "dist-packages", "__pycache__", "distutils", "unittest", "sqlite3"),
        *("asyncio", "xmlrpc", "wsgiref", "curses", "dbm", "multiprocessing", "concurrent"),
    }
)
_BUILD_FOLDER = re.compile(r"config-\d")
_COMPILER = r"""
import base64, importlib.util, json, marshal, sys
for line in sys.stdin:
    source, name = json.loads(line)
    with open(source, "rb") as file:
        code = compile(file.read(), name, "exec", dont_inherit=True, optimize=0)
    # PEP 552: by hash, never checked
    head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8)
    print(base64.b64encode(head + marshal.dumps(code)).decode())
"""


def add_python(tree: FileTree) -> None:
    """Add this process's interpreter with its library. Raises LabError where a part of it is not
    there."""
    interpreter = Path(sys.executable).resolve()
    tree.make_file(GUEST_PYTHON, interpreter.read_bytes(), executable=True)
    library = Path(sysconfig.get_path("stdlib"))
    place = f"{_HOME}/lib/{_VERSION}"
    modules = dict(_list_modules(library, place, _LEFT_OUT))
    _add_compiled(tree, modules)
    extensions = sorted((library / "lib-dynload").glob("*.so"))
    for file in extensions:
        tree.make_file(f"{place}/lib-dynload/{file.name}", file.read_bytes(), executable=True)
    add_libraries(tree, [interpreter, *extensions], moved=True)


def add_packages(tree: FileTree, names: Iterable[str]) -> None:
    """Add importable packages with all their modules and data. Raises LabError for one that cannot
    be found."""
    modules: dict[str, Path] = {}
    for name in names:
        folder, place = _find_package(name), f"{GUEST_PACKAGES}/{name}"
        modules.update(_list_modules(folder, place, frozenset({"__pycache__"})))
        _add_data(tree, folder, place)
    _add_compiled(tree, modules)


def _find_package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None or not spec.submodule_search_locations:
        raise LabError(f"the Python package {name} is not installed for {sys.executable}")
    return Path(spec.origin).parent


def _list_modules(folder: Path, place: str, left_out: frozenset[str]) -> Iterator[tuple[str, Path]]:
    """The sources below a folder, by their path in the guest without its suffix."""
    for entry in sorted(folder.iterdir()):
        if entry.name in left_out or _BUILD_FOLDER.match(entry.name):
            continue
        if entry.is_dir():
            yield from _list_modules(entry, f"{place}/{entry.name}", frozenset({"__pycache__"}))
        elif entry.suffix == ".py":
            yield f"{place}/{entry.stem}", entry


def _add_data(tree: FileTree, folder: Path, place: str) -> None:
    """What is not source: extension modules, and files that modules read."""
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and entry.name != "__pycache__":
            _add_data(tree, entry, f"{place}/{entry.name}")
        elif entry.is_file() and entry.suffix not in (".py", ".pyc"):
            tree.make_file(f"{place}/{entry.name}", entry.read_bytes())


def _add_compiled(tree: FileTree, modules: Mapping[str, Path]) -> None:
    lines = [json.dumps([str(source), f"{name}.py"]) for name, source in modules.items()]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _COMPILER],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"},
    )
    if done.returncode:
        raise LabError(f"Python's modules cannot be compiled:\n{tail(done.stderr)}")
    for name, code in zip(modules, done.stdout.split(), strict=True):
        tree.make_file(f"{name}.pyc", base64.b64decode(code))
