"""Small programs with debug information, and what is read of it."""

import subprocess
from pathlib import Path

from orchestrator.binaries.debug_info.entries import describe_type
from orchestrator.binaries.debug_info.files import find_debug_info
from orchestrator.binaries.debug_info.units import DebugInfo
from orchestrator.binaries.elf import find_symbols
from tests.support.binaries import compile_to

SOURCE = """
typedef unsigned long size;
struct bag { char name[8]; unsigned low : 3, high : 5;
             struct { short a; union { int b; char c; }; };
             struct bag *next; const int grid[2][3]; };
struct pair { long one, two; };
struct big { long words[8]; };
enum colour { RED = -1, GREEN };
long take(const struct bag *bag, double d, size n, enum colour c, struct pair p, int after)
{ return bag->low + n + c + p.one + after + (long)d; }
struct big give(int v) { struct big b = { { v } }; return b; }
long count(_Bool b, signed char s, float f, int *p) { return b + s + *p + (long)f; }
long alias(_Bool b, signed char s, float f, int *p) __attribute__((alias("count")));
int main(void) { return 0; }
"""


def build(folder: Path, *flags: str, source: str = SOURCE, name: str = "program") -> Path:
    """A program of a source, with debug information."""
    file = folder / f"{name}.c"
    file.write_text(source)
    return compile_to(folder / name, file, flags=("-g", "-fno-inline", *flags))


def info_of(path: Path) -> DebugInfo:
    """The debug information that the program has."""
    info = find_debug_info(path)
    assert info is not None
    return info


def arguments(path: Path, function: str) -> list[tuple[str, int, str]]:
    """(name, register, kind of type) of the arguments of a function."""
    found = info_of(path).find_function(function, find_symbols(path, function)[0].address)
    if found is None:
        return []
    return [(one.name, one.register, describe_type(one.type).kind) for one in found.arguments]


def split(path: Path, debug: Path) -> None:
    """Move the debug information of a file to another, and leave a link."""
    subprocess.run(["objcopy", "--only-keep-debug", path, debug], check=True)
    subprocess.run(["objcopy", "--strip-debug", f"--add-gnu-debuglink={debug}", path], check=True)
