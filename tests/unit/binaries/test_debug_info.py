"""Arguments and structures by the debug information of small programs."""

import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrator.binaries import debug_info
from orchestrator.binaries.debug_info import describe_type, find_debug_info, members_of, target_of
from orchestrator.binaries.elf import build_id, find_symbols
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


def build(folder: Path, *flags: str) -> Path:
    """The program of SOURCE with debug information."""
    source = folder / "source.c"
    source.write_text(SOURCE)
    return compile_to(folder / "program", source, flags=("-g", "-fno-inline", *flags))


def arguments(path: Path, function: str) -> list[tuple[str, int, str]]:
    """(name, register, kind of type) of the arguments of a function."""
    info = find_debug_info(path)
    assert info is not None
    found = info.arguments_of(function, find_symbols(path, function)[0].address)
    return [(one.name, one.register, describe_type(one.type).kind) for one in found]


def split(path: Path, debug: Path) -> None:
    """Move the debug information of a file to another, and leave a link."""
    subprocess.run(["objcopy", "--only-keep-debug", path, debug], check=True)
    subprocess.run(["objcopy", "--strip-debug", f"--add-gnu-debuglink={debug}", path], check=True)


@pytest.mark.parametrize("version", ["4", "5"])
def test_arguments_are_those_in_registers_of_numbers(tmp_path: Path, version: str) -> None:
    """Floats are in others. Nothing is said of what follows a structure by value, or of a function
    whose result may be its first argument."""
    program = build(tmp_path, f"-gdwarf-{version}")
    assert arguments(program, "take") == [("bag", 0, "pointer"), ("n", 1, "int"), ("c", 2, "int")]
    assert arguments(program, "count") == [("b", 0, "bool"), ("s", 1, "int"), ("p", 2, "pointer")]
    assert arguments(program, "give") == []


@pytest.mark.parametrize("version", ["4", "5"])
def test_members_have_their_offsets_in_bits(tmp_path: Path, version: str) -> None:
    """Of bit-fields and of nameless structures, too; enums with values below zero are signed."""
    program = build(tmp_path, f"-gdwarf-{version}")
    info = find_debug_info(program)
    assert info is not None
    bag, _, colour = info.arguments_of("take", find_symbols(program, "take")[0].address)
    members = {one.name: one for one in members_of(target_of(bag.type))}
    assert {name: (one.bit_offset, one.bit_size) for name, one in members.items()} == {
        "name": (0, 0), "low": (64, 3), "high": (67, 5), "a": (96, 0), "b": (128, 0), "c": (128, 0),
        "next": (192, 0), "grid": (256, 0),
    }  # fmt: skip
    assert describe_type(members["grid"].type).counts == (2, 3)
    assert target_of(members["next"].type) == target_of(bag.type)
    assert describe_type(colour.type).signed


def test_separate_files_are_found_by_build_id_and_by_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of another build, which has another checksum, is not taken."""
    program = build(tmp_path, "-Wl,--build-id")
    link = tmp_path / "program.debug"
    split(program, link)
    assert [name for name, *_ in arguments(program, "take")] == ["bag", "n", "c"]
    link.write_bytes(link.read_bytes() + b"\0")
    assert find_debug_info(program) is None
    number = build_id(program)
    assert number
    kept = tmp_path / "root" / ".build-id" / number[:2] / f"{number[2:]}.debug"
    kept.parent.mkdir(parents=True)
    shutil.move(link, kept)
    monkeypatch.setattr(debug_info, "_ROOT", tmp_path / "root")
    assert [name for name, *_ in arguments(program, "take")] == ["bag", "n", "c"]


def test_a_file_that_shares_its_types_with_others_is_not_read(tmp_path: Path) -> None:
    program = build(tmp_path)
    (tmp_path / "alt").write_bytes(b"x.debug\0" + bytes(20))
    command = ["objcopy", "--add-section", f".gnu_debugaltlink={tmp_path / 'alt'}", program]
    subprocess.run(command, check=True)
    assert find_debug_info(program) is None


def test_what_is_not_described_has_no_arguments(tmp_path: Path) -> None:
    """A file without debug information, and a copy that a compiler made; an alias is described."""
    source = tmp_path / "source.c"
    source.write_text(SOURCE)
    assert find_debug_info(compile_to(tmp_path / "bare", source)) is None
    info = find_debug_info(build(tmp_path))
    assert info is not None
    address = find_symbols(tmp_path / "program", "count")[0].address
    assert info.arguments_of("count.isra.0", address) == ()
    assert len(info.arguments_of("alias", address)) == 3
