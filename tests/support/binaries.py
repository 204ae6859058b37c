"""Small binaries whose code is known to the byte or to the call."""

import subprocess
from pathlib import Path

from tests.support.paths import WORKLOADS

#: Its instructions start at 0, 4 and 8, and it has 9 bytes.
TARGET_ASSEMBLY = """
    .text
    .globl target
    .type target, @function
target:
    endbr64
    leaq 1(%rdi), %rax
    ret
    .size target, .-target
    .globl unsized
    .type unsized, @function
unsized:
    ret
    .globl weird
    .type weird, @function
weird:
    .byte 0x06, 0x90, 0x90
    .size weird, .-weird
    .section .rodata
    .globl table
table:
    .quad 1
    .section .note.GNU-stack, "", @progbits
"""


def compile_to(binary: Path, *sources: Path, flags: tuple[str, ...] = (), by: str = "gcc") -> Path:
    """A binary made of these sources by gcc, or another compiler of its options."""
    subprocess.run([by, "-O2", *flags, "-o", binary, *sources], check=True, capture_output=True)
    return binary


def build_target(folder: Path) -> Path:
    """A shared library with the functions of TARGET_ASSEMBLY."""
    source = folder / "target.s"
    source.write_text(TARGET_ASSEMBLY)
    return compile_to(folder / "libtarget.so", source, flags=("-shared", "-nostdlib"))


def build_twins(folder: Path) -> Path:
    """A program with two static functions `twin`: argv[1] calls of the first, which return v + 1,
    and argv[2] of the second, which return 2 v; v counts from 0."""
    return compile_to(
        folder / "twins",
        *(WORKLOADS / name for name in ("twins.c", "twin_first.c", "twin_second.c")),
    )


def build_versions(folder: Path) -> tuple[Path, Path]:
    """A library with versions V1 (v + 1) and V2 (v + 2, the default) of `versioned`, and a program
    that makes argv[1] calls of the first and argv[2] of the second."""
    script = WORKLOADS / "versions.map"
    library = compile_to(
        folder / "libversions.so",
        WORKLOADS / "versions_library.c",
        flags=("-shared", "-fPIC", f"-Wl,--version-script={script}"),
    )
    flags = (f"-Wl,-rpath,{folder}", f"-L{folder}", "-lversions")
    source = WORKLOADS / "versions.c"
    program = folder / "versions"
    command = ["gcc", "-O0", source, *flags, "-o", program]
    subprocess.run(command, check=True, capture_output=True)
    return library, program


def build_library(folder: Path, source: str, *flags: str, by: str = "gcc") -> Path:
    """A shared library of this C source; what it takes from others may be missing."""
    file = folder / "library.c"
    file.write_text(source)
    return compile_to(folder / "library.so", file, flags=("-shared", "-fPIC", *flags), by=by)


def import_of(name: str) -> str:
    """C source of a library with a function `work` that imports `name`."""
    return f"extern char {name}[]; char *work(void) {{ return {name}; }}\n"


#: C source of a library as Go marks its files, with a function of Go and one of C.
GO_SOURCE = """
__attribute__((section(".go.buildinfo"), used)) static const char mark[32] = "\\xff Go buildinf:";
__attribute__((noinline)) long go_work(long v) __asm__("main.work");
__attribute__((noinline)) long go_work(long v) { __asm__ volatile(""); return v + 1; }
__attribute__((noinline)) long c_work(long v) { return go_work(v); }
"""
