"""Functions whose programs a return probe may kill.

A return probe replaces the return address on the stack by the address of the kernel's trampoline
(kernel/events/uprobes.c, prepare_uretprobe). The call returns as before, but code that
reads the stack meanwhile meets an address that belongs to no function:

- Go copies stacks when they grow and looks up every return address in them: "unexpected return pc".
  OCaml's collector does the same. Haskell's code keeps no return address at that place.
- Exceptions and panics that pass through the call find no caller: C++ ends in std::terminate, Rust
  aborts. Whether they pass depends on what the function calls, and on who called it.
- pthread_exit() unwinds from its own frame on.

Decided by the names that a file's tables hold, since a stripped file keeps those that it imports.
What is not seen: a C library without any of these names whose function calls back into C++ code
that throws. The functions of the C library that take such callbacks are known by name.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import chain

from orchestrator.binaries.elf_image import SHN_UNDEF, ElfError, Image

__all__ = ["ReturnHazardError", "check_return_probe", "is_go"]

_GO_SECTIONS = frozenset({".go.buildinfo", ".note.go.buildid", ".gopclntab"})
#: By a name in the symbol tables, the runtime that reads return addresses.
_RUNTIMES: Mapping[bytes, str] = {
    b"runtime.morestack": "Go, whose runtime reads the return addresses when it moves a stack",
    b"caml_frametable": "OCaml, whose garbage collector reads return addresses",
    b"stg_upd_frame_info": "Haskell, whose code keeps no return address where a probe takes it",
}
#: By a name in the symbol tables, the language whose exceptions or panics unwind the stack.
_UNWINDING: Mapping[bytes, str] = {
    b"__gxx_personality_v0": "C++",
    b"__cxa_throw": "C++",
    b"__cxa_begin_catch": "C++",
    b"rust_eh_personality": "Rust",
    b"__gnat_personality_v0": "Ada",
    b"__gdc_personality_v0": "D",
    b"_d_eh_personality": "D",
    b"__gnu_objc_personality_v0": "Objective-C",
    b"__objc_personality_v0": "Objective-C",
    b"__gccgo_personality_v0": "Go",
}
#: Imported by code with landing pads. A static C program defines them, and C has no use for them
#: but to cancel threads.
_UNWINDER = (
    b"_Unwind_Resume",
    b"_Unwind_RaiseException",
    b"_Unwind_Resume_or_Rethrow",
    b"_Unwind_ForcedUnwind",
    b"__gcc_personality_v0",
)
_LIBRARIES = re.compile(r"lib(stdc\+\+|c\+\+|c\+\+abi)\.so")
_MANGLED = re.compile(r"_Z|_R[A-Z0-9]")
#: glibc's own libraries have landing pads for threads that are cancelled.
_C_LIBRARY = re.compile(r"(lib(c|pthread|rt|anl|resolv)|ld-.*)\.so[.0-9]*")
#: Functions of the C library under which code of its callers runs, or the stack is unwound.
_CALLS_BACK = re.compile(
    r"bsearch|call_once|dl_iterate_phdr|n?ftw(64)?|glob(64)?|l(find|search)|(__)?pthread_once"
    r"|qsort(_r)?|scandir(at)?(64)?|t(delete|destroy|find|search|walk|walk_r)"
    r"|__libc_start_(main|call_main)|start_thread"
)
_UNWINDS = re.compile(r"_Unwind_\w+|(__)?pthread_exit|thrd_exit")


class ReturnHazardError(ElfError):
    """A return probe on the function may kill the programs that call it."""


def check_return_probe(image: Image, name: str, address: int) -> None:
    """Raise ReturnHazardError where a return probe on the function `name` of the file could kill a
    program, or where that cannot be excluded. Other names of its `address` are looked at too."""
    hazards = chain(_find_file_hazards(image), _find_function_hazards(image, name, address))
    why = next(hazards, None)
    if why is not None:
        raise ReturnHazardError(
            f"{image.path}: a return probe on {name} may kill the programs that call it: {why}",
            f"attach uprobe:{image.path}:{name}, at the entry; or accept that with "
            "`unsafe_return: true` in the probe",
        )


def is_go(image: Image) -> bool:
    """Whether Go built the file: it also has its own way to pass arguments."""
    return any(section.name in _GO_SECTIONS for section in image.sections)


def _find_file_hazards(image: Image) -> Iterator[str]:
    if is_go(image):
        yield f"the file is built by {_RUNTIMES[b'runtime.morestack']}"
    names = image.names_among((*_RUNTIMES, *_UNWINDING, *_UNWINDER))
    for mark, runtime in _RUNTIMES.items():
        if mark in names:
            yield f"the file is built by {runtime}"
    for mark, language in _UNWINDING.items():
        if mark in names:
            yield _unwinding_text(f"the file has {language} code ({mark.decode()})")
    for mark in _UNWINDER:
        if mark in names and _is_imported_or_offered(image, mark.decode()):
            yield _unwinding_text(f"the file unwinds the stack ({mark.decode()})")
    needed = next((library for library in image.needed if _LIBRARIES.match(library)), None)
    if needed is not None:
        yield _unwinding_text(f"the file is linked to {needed}")
    if _has_landing_pads(image):
        yield _unwinding_text("the file has landing pads (.gcc_except_table)")


def _find_function_hazards(image: Image, name: str, address: int) -> Iterator[str]:
    names = {name, *image.names_at(address)}
    if any(map(_MANGLED.match, names)):
        yield _unwinding_text("the function is of C++ or Rust")
    if any(map(_CALLS_BACK.fullmatch, names)):
        yield _unwinding_text("code of its callers runs under it")
    if any(map(_UNWINDS.fullmatch, names)):
        yield "the function unwinds the stack from its own frame on"


def _unwinding_text(what: str) -> str:
    return f"{what}, and no exception or panic passes through a call whose return is probed"


def _is_imported_or_offered(image: Image, name: str) -> bool:
    """Whether the file takes the function from a library, or is the library that has it."""
    found = image.symbols_called(name)
    return any(s.section == SHN_UNDEF for s in found) or any(s.is_dynamic for s in found)


def _has_landing_pads(image: Image) -> bool:
    """Where the names are there, they have been asked: what is left are landing pads of C."""
    section = image.section(".gcc_except_table")
    if section is None or not section.size or image.has_symtab:
        return False
    return not (image.soname and _C_LIBRARY.fullmatch(image.soname))
