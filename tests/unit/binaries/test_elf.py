"""User-space binaries: our reading against pyelftools', on the files of this machine."""

import ctypes.util
import shutil
import sys
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.binaries.elf import (
    ElfError,
    IfuncError,
    NoSuchBinaryError,
    NoSuchSymbolError,
    NotElfError,
    UndefinedSymbolError,
    build_id,
    find_symbols,
    resolve_binary,
    symbol_offset,
)
from orchestrator.binaries.elf_image import Image
from orchestrator.binaries.usdt import NoSuchProbeError, parse_arguments, usdt_probes
from tests.support.binaries import build_twins, build_versions
from tests.support.hostile_elf import write_hostile_elf

PYTHON = Path(sys.executable).resolve()


@pytest.fixture(scope="module")
def libc() -> Path:
    return resolve_binary("libc.so.6")


def test_a_library_is_found_by_its_bare_name_as_the_loader_does(libc: Path) -> None:
    assert libc.name == ctypes.util.find_library("c") == "libc.so.6"
    assert resolve_binary(str(libc)) == libc


def test_a_program_is_found_in_path() -> None:
    assert str(resolve_binary("sh")) == shutil.which("sh")


@pytest.mark.parametrize("name", ["libno_such_library.so.9", "/no/such/file", "/etc"])
def test_a_missing_file_is_told(name: str) -> None:
    with pytest.raises(NoSuchBinaryError):
        resolve_binary(name)


@pytest.mark.slow
def test_file_offsets_are_those_of_pyelftools(libc: Path) -> None:
    """All functions of libc whose name is once, found one by one."""
    with libc.open("rb") as file:
        elf = ELFFile(file)
        symbols = list(elf.get_section_by_name(".dynsym").iter_symbols())
        names = [s.name for s in symbols]
        wanted = {
            s.name: next(iter(elf.address_offsets(s["st_value"])))
            for s in symbols
            if s["st_info"]["type"] == "STT_FUNC" and s["st_value"] and names.count(s.name) == 1
        }
    assert len(wanted) > 1000
    for name in list(wanted)[::10]:
        assert [found.file_offset for found in find_symbols(libc, name)] == [wanted[name]], name


def test_the_code_at_the_offset_is_what_runs(libc: Path) -> None:
    """The bytes at malloc's file offset are the bytes at malloc's address in this process."""
    offset = symbol_offset(libc, "malloc")
    loaded = ctypes.cast(ctypes.CDLL("libc.so.6").malloc, ctypes.c_void_p).value
    assert loaded is not None
    assert libc.read_bytes()[offset : offset + 16] == ctypes.string_at(loaded, 16)


def test_an_ifunc_is_told_apart_and_not_probed(libc: Path) -> None:
    with pytest.raises(IfuncError, match="resolver"):
        symbol_offset(libc, "memcpy")


def test_a_misspelt_function_is_answered_with_its_neighbours(libc: Path) -> None:
    with pytest.raises(NoSuchSymbolError, match="mallloc") as caught:
        find_symbols(libc, "mallloc")
    assert "malloc" in caught.value.nearest
    assert "malloc" in caught.value.hint


def test_a_function_that_is_only_called_names_the_libraries() -> None:
    with pytest.raises(UndefinedSymbolError) as caught:
        find_symbols(resolve_binary("true"), "setlocale")
    assert "libc.so.6" in caught.value.libraries


def test_a_script_and_an_empty_file_are_no_binaries(tmp_path: Path) -> None:
    script, empty = tmp_path / "script", tmp_path / "empty"
    script.write_text("#!/bin/sh\n" + "echo\n" * 100)
    empty.touch()
    for path in (script, empty):
        with pytest.raises(NotElfError):
            find_symbols(path, "main")


def test_static_functions_of_one_name_are_all_found(tmp_path: Path) -> None:
    twins = find_symbols(build_twins(tmp_path), "twin")
    assert len({found.file_offset for found in twins}) == len(twins) == 2


def test_all_versions_are_found_the_default_first_or_the_one_named(tmp_path: Path) -> None:
    library, _ = build_versions(tmp_path)
    [default, old] = find_symbols(library, "versioned")
    assert find_symbols(library, "versioned@V2") == find_symbols(library, "versioned@@V2")
    assert find_symbols(library, "versioned@V2")[0].address == default.address
    assert [found.address for found in find_symbols(library, "versioned@V1")] == [old.address]
    assert symbol_offset(library, "versioned") == default.file_offset
    with pytest.raises(NoSuchSymbolError, match="no version V3 of versioned") as caught:
        find_symbols(library, "versioned@V3")
    assert caught.value.nearest == ("versioned@V1", "versioned@V2")
    with pytest.raises(NoSuchSymbolError, match="no function nothing"):
        find_symbols(library, "nothing@V1")


@given(data=st.data())
def test_a_damaged_binary_raises_nothing_but_elf_errors(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(resolve_binary("true").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 63))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        find_symbols(path, "main", 1)
        find_symbols(path, "main@V1")
        build_id(path)
        usdt_probes(path)
    except ElfError:
        pass


def test_a_path_relative_to_nowhere_is_refused(tmp_path: Path) -> None:
    """It would mean another file in each directory that a plan is run from."""
    for name in ("./libc.so.6", "bin/true", "../x"):
        with pytest.raises(NoSuchBinaryError, match="does not begin with /") as refused:
            resolve_binary(name, tmp_path)
        assert refused.value.hint.startswith("a plan means the same")


def test_a_sparse_file_of_ten_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    """Reading what it seems to contain would take minutes, and more memory than there is."""
    write_hostile_elf(tmp_path / "large", table_bytes=10 << 30)
    with pytest.raises(NotElfError, match="damaged: a part of 10,737,418,240 bytes"):
        find_symbols(tmp_path / "large", "main")


def test_of_many_symbol_tables_one_is_read(tmp_path: Path) -> None:
    write_hostile_elf(tmp_path / "many", table_bytes=1 << 20)
    with Image(tmp_path / "many") as image:
        assert sum(1 for _ in image.symbol_tables()) == 1


def test_the_build_id_is_the_notes(libc: Path) -> None:
    with libc.open("rb") as file:
        notes = ELFFile(file).get_section_by_name(".note.gnu.build-id").iter_notes()
        assert build_id(libc) == next(iter(notes))["n_desc"]


@pytest.fixture(scope="module")
def python_with_probes() -> Path:
    if not usdt_probes(PYTHON):
        pytest.skip(f"{PYTHON} was built without USDT probes")
    return PYTHON


def test_usdt_probes_are_where_pyelftools_finds_the_notes(python_with_probes: Path) -> None:
    with python_with_probes.open("rb") as file:
        elf = ELFFile(file)
        count = len(list(elf.get_section_by_name(".note.stapsdt").iter_notes()))
        probes = usdt_probes(python_with_probes)
        for probe in probes:
            assert probe.file_offset == next(iter(elf.address_offsets(probe.address)))
            file.seek(probe.file_offset)
            assert file.read(1) == b"\x90"  # <sys/sdt.h> puts a nop there
            assert probe.semaphore_offset is not None
    assert len(probes) == count > 0


def test_all_places_of_one_probe_are_given(python_with_probes: Path) -> None:
    places = usdt_probes(python_with_probes, "python", "function__entry")
    assert {(p.provider, p.name) for p in places} == {("python", "function__entry")}
    assert [o.size for o in places[0].arguments] == [8, 8, 4]


def test_an_unknown_probe_is_answered_with_what_there_is(python_with_probes: Path) -> None:
    with pytest.raises(NoSuchProbeError) as caught:
        usdt_probes(python_with_probes, "python", "nonesuch")
    assert "python:audit" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "kind", "register", "value", "size", "signed"),
    [
        ("-4@%edi", "register", "di", 0, 4, True),
        ("8@%r12", "register", "r12", 0, 8, False),
        ("1@%al", "register", "ax", 0, 1, False),
        ("2@%r9w", "register", "r9", 0, 2, False),
        ("8@-16(%rbp)", "memory", "bp", -16, 8, False),
        ("-8@(%rsp)", "memory", "sp", 0, 8, True),
        ("4@0x10(%r12)", "memory", "r12", 16, 4, False),
        ("4@$5", "constant", "", 5, 4, False),
        ("-4@$-1", "constant", "", -1, 4, True),
        ("8@sym+8(%rip)", "unsupported", "", 0, 8, False),
        ("8@(%rax,%rbx,8)", "unsupported", "", 0, 8, False),
        ("8f@%xmm0", "unsupported", "", 0, 8, False),
        ("16@%rdi", "unsupported", "", 0, 16, False),
    ],
)
def test_usdt_operands(  # the columns above
    text: str, kind: str, register: str, value: int, size: int, signed: bool
) -> None:
    (operand,) = parse_arguments(text)
    assert (operand.kind, operand.register, operand.value) == (kind, register, value)
    assert (operand.size, operand.signed, operand.text) == (size, signed, text)


def test_usdt_arguments_keep_their_order() -> None:
    assert [o.kind for o in parse_arguments("8@%rdi 4@$1 8@x(%rip) -4@8(%rsp)")] == [
        "register",
        "constant",
        "unsupported",
        "memory",
    ]
