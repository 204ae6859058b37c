"""Return probes that may kill programs are refused, and the others are not."""

from pathlib import Path

import pytest

from orchestrator.binaries.elf import (
    ReturnHazardError,
    UndefinedSymbolError,
    find_symbols,
    resolve_binary,
)
from tests.support.binaries import GO_SOURCE, build_library, compile_to, import_of
from tests.support.paths import WORKLOADS


def refusal(binary: Path, name: str) -> str:
    """Why no return probe is made; "" where there is no reason. An entry is never refused."""
    assert find_symbols(binary, name)
    try:
        find_symbols(binary, name, safe_return=True)
    except ReturnHazardError as error:
        text, hint = str(error), error.hint
    else:
        return ""
    assert f"uprobe:{binary}:{name}" in hint
    assert "unsafe_return: true" in hint
    return text


def test_a_file_of_go_is_refused_as_its_stacks_move(tmp_path: Path) -> None:
    library = build_library(tmp_path, GO_SOURCE)
    assert "Go, whose runtime reads the return addresses" in refusal(library, "main.work")
    assert "Go" in refusal(library, "c_work")
    assert [symbol.is_go for symbol in find_symbols(library, "main.work")] == [True]
    assert [symbol.is_go for symbol in find_symbols(library, "c_work")] == [False]


@pytest.mark.parametrize(
    ("mark", "why"),
    [
        ("__gxx_personality_v0", "C++"),
        ("__cxa_throw", "C++"),
        ("rust_eh_personality", "Rust"),
        ("__gnat_personality_v0", "Ada"),
        ("_d_eh_personality", "D"),
        ("_Unwind_Resume", "unwinds the stack"),
        ("_Unwind_RaiseException", "unwinds the stack"),
        ("__gcc_personality_v0", "unwinds the stack"),
        ("caml_frametable", "OCaml"),
        ("stg_upd_frame_info", "Haskell"),
    ],
)
def test_a_file_that_takes_part_in_unwinding_is_refused(
    tmp_path: Path, mark: str, why: str
) -> None:
    """Stripped, too: imported names stay."""
    for flags in ((), ("-s",)):
        assert why in refusal(build_library(tmp_path, import_of(mark), *flags), "work")


def test_what_only_reads_its_own_stack_for_a_trace_is_not_refused(tmp_path: Path) -> None:
    assert refusal(build_library(tmp_path, import_of("_Unwind_Backtrace")), "work") == ""


def test_a_stripped_file_with_landing_pads_is_refused(tmp_path: Path) -> None:
    """Its personality is inside, and has no name any more."""
    pads = (
        '__attribute__((section(".gcc_except_table"), used)) static const char pads[4] = "pad";\n'
    )
    library = build_library(tmp_path, f"{pads}long work(long v) {{ return v; }}\n", "-s")
    assert ".gcc_except_table" in refusal(library, "work")
    named = build_library(tmp_path, f"{pads}long work(long v) {{ return v; }}\n")
    assert refusal(named, "work") == ""


def test_a_file_that_is_linked_to_the_library_of_a_language_is_refused(tmp_path: Path) -> None:
    compile_to(
        tmp_path / "libstdc++.so",
        WORKLOADS / "twin_first.c",
        flags=("-shared", "-fPIC", "-Wl,-soname,libstdc++.so.6"),
    )
    flags = (f"-L{tmp_path}", "-Wl,--no-as-needed", "-lstdc++")
    library = build_library(tmp_path, "long work(long v) { return v; }\n", *flags)
    assert "libstdc++.so.6" in refusal(library, "work")


@pytest.mark.parametrize("name", ["_Z4workl", "_RNvCs1_4work4work"])
def test_a_mangled_name_is_of_a_language_that_unwinds(tmp_path: Path, name: str) -> None:
    """Also under another name of the same function."""
    source = (
        f'long {name}(long v) {{ return v; }} long also(long) __attribute__((alias("{name}")));'
    )
    library = build_library(tmp_path, source)
    assert "C++ or Rust" in refusal(library, name)
    assert "C++ or Rust" in refusal(library, "also")


def test_programs_of_c_are_not_refused(tmp_path: Path) -> None:
    """A static one contains glibc's unwinder, with which it cancels threads."""
    source = WORKLOADS / "load.c"
    for flags in ((), ("-static",)):
        program = compile_to(tmp_path / "load", source, flags=("-pthread", *flags))
        assert refusal(program, "target_fn") == ""


@pytest.mark.parametrize("name", ["malloc", "read", "getaddrinfo", "pthread_create", "dlopen"])
def test_functions_of_the_c_library_are_not_refused(name: str) -> None:
    """glibc has landing pads for threads that are cancelled."""
    assert refusal(resolve_binary("libc.so.6"), name) == ""


@pytest.mark.parametrize("name", ["qsort", "bsearch", "pthread_once", "nftw64", "scandir"])
def test_a_function_of_the_c_library_under_which_its_callers_code_runs_is_refused(
    name: str,
) -> None:
    assert "code of its callers runs under it" in refusal(resolve_binary("libc.so.6"), name)


def test_a_function_that_unwinds_is_refused() -> None:
    assert "from its own frame" in refusal(resolve_binary("libc.so.6"), "pthread_exit")


def test_a_function_that_is_only_imported_is_still_reported_as_such(tmp_path: Path) -> None:
    library = build_library(tmp_path, import_of("__cxa_throw"))
    with pytest.raises(UndefinedSymbolError):
        find_symbols(library, "__cxa_throw", safe_return=True)
