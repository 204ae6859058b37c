"""Addresses to names without a kernel: kallsyms, files, maps of code made at run time."""

import ctypes
import os
import subprocess
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import pytest

from orchestrator.symbols.book import StackBook
from orchestrator.symbols.code_map import CodeMap, read_code_map
from orchestrator.symbols.file_symbols import FileSymbols
from orchestrator.symbols.frames import (
    EMPTY_STACK,
    LOST_STACK,
    KernelFunction,
    Stack,
    make_frame,
)
from orchestrator.symbols.kernel_symbols import KernelSymbols
from orchestrator.symbols.process import (
    DENIED,
    GONE,
    FileCache,
    NamedStacks,
    Process,
    ProcessNames,
    regions_of,
)

KALLSYMS = b"""\
0000000000000000 A fixed_percpu_data
ffffffff81000000 T _stext
ffffffff81000000 T startup_64
ffffffff81001000 T vfs_read
ffffffff81001200 t __vfs_read
ffffffff81001200 t alias_of_it
ffffffff81001300 D a_variable
ffffffff81001400 W weak_one
ffffffffc0200000 t start_this_handle\t[jbd2]
ffffffffc0200100 T jbd2_journal_start\t[jbd2]
"""


def kernel_names(*addresses: int) -> list[str]:
    [frames] = KernelSymbols(KALLSYMS).frames([addresses])
    return [one.name for one in frames]


# ---------------------------------------------------------------- the kernel


def test_an_address_belongs_to_the_symbol_before_it() -> None:
    assert kernel_names(0xFFFFFFFF8100101A) == ["vfs_read+0x1a"]


def test_of_two_names_of_one_address_the_first_is_told() -> None:
    """As the kernel itself prints it."""
    assert kernel_names(0xFFFFFFFF81001210) == ["__vfs_read+0x10"]


def test_a_return_address_at_a_functions_end_belongs_to_the_call_before_it() -> None:
    """The first frame is where the processor was: there the same address is the next function."""
    assert kernel_names(0xFFFFFFFF81001200, 0xFFFFFFFF81001200) == [
        "__vfs_read+0x0",
        "vfs_read+0x200",
    ]


def test_data_names_no_code() -> None:
    assert kernel_names(0xFFFFFFFF81001304) == ["__vfs_read+0x104"]


def test_a_function_is_found_with_its_module() -> None:
    """Data of the same name is no function, and neither is one of another module."""
    symbols = KernelSymbols(KALLSYMS + b"ffffffffc0300000 d weak_one\t[dm]\n")
    for name, module, at in (
        ("weak_one", "vmlinux", 0xFFFFFFFF81001400),
        ("jbd2_journal_start", "jbd2", 0xFFFFFFFFC0200100),
    ):
        frame = symbols.function(KernelFunction(name, module))
        assert frame is not None
        assert (frame.symbol, frame.address, frame.offset, frame.module) == (name, at, 0, module)
    for name, module in (
        ("read", "vmlinux"),
        ("jbd2_journal_start", "vmlinux"),
        ("weak_one", "dm"),
    ):
        assert symbols.function(KernelFunction(name, module)) is None


def test_a_modules_name_is_told() -> None:
    assert kernel_names(0xFFFFFFFFC0200004) == ["start_this_handle+0x4 [jbd2]"]


def test_what_lies_far_behind_the_last_symbol_is_an_address() -> None:
    assert kernel_names(0xFFFFFFFFFFFFFF00, 0x10) == ["0xffffffffffffff00", "0x10"]


def test_hidden_addresses_name_nothing() -> None:
    """To readers without CAP_SYSLOG every address is 0."""
    hidden = b"".join(b"0" * 16 + line[16:] + b"\n" for line in KALLSYMS.splitlines())
    symbols = KernelSymbols(hidden)
    assert not symbols.available
    assert symbols.frames([(0xFFFFFFFF81001000,)])[0][0].name == "0xffffffff81001000"
    book = StackBook(kernel=symbols)
    [known] = book.learn([stack(2, 0xFFFFFFFF81001000)])
    assert "CAP_SYSLOG" in known.why
    assert book.unnamed == 1
    assert symbols.function(KernelFunction("vfs_read")) is None


def test_an_empty_kallsyms_names_nothing() -> None:
    assert not KernelSymbols(b"").available


# ---------------------------------------------------------------- files


@pytest.fixture(scope="module")
def nm(chain: Path) -> dict[str, int]:
    """Functions and their addresses as binutils see them."""
    listed = subprocess.run(["nm", chain], capture_output=True, text=True, check=True).stdout
    words = (line.split() for line in listed.splitlines())
    return {name: int(address, 16) for address, _, name in (w for w in words if len(w) == 3)}


def test_functions_of_a_file_are_found_where_nm_has_them(chain: Path, nm: dict[str, int]) -> None:
    """The file is linked so that addresses and offsets in it are the same there."""
    binary = FileSymbols(chain)
    for name in ("inner", "outer", "other", "way", "main"):
        assert binary.symbol(nm[name]) == (name, 0)
        assert binary.symbol(nm[name] + 3, back=True) == (name, 3)
    assert binary.symbol(nm["outer"], back=True) == ("inner", nm["outer"] - nm["inner"]) or (
        binary.symbol(nm["outer"], back=True) is None  # padding between the two
    )


def test_a_stripped_file_has_no_names_of_its_own(
    chain: Path, tmp_path: Path, nm: dict[str, int]
) -> None:
    bare = tmp_path / "bare"
    subprocess.run(["strip", "-o", bare, chain], check=True)
    binary = FileSymbols(bare)
    assert binary.symbol(nm["inner"]) is None
    assert binary.build_id == FileSymbols(chain).build_id is not None


def test_a_librarys_functions_are_found_at_their_file_offsets() -> None:
    """libc is stripped: its dynamic symbols report."""
    mine = Process(os.getpid(), FileCache())
    libc = ctypes.CDLL(None)
    address = ctypes.cast(libc.getpriority, ctypes.c_void_p).value
    assert address is not None
    [found] = mine.frames((address + 4,))
    assert (found.symbol, found.offset) == ("getpriority", 4)
    assert found.module is not None
    assert found.module.endswith("libc.so.6")
    assert mine.why == ""


def test_the_vdso_has_names() -> None:
    region = next(one for one in regions_of(maps_of(os.getpid())) if one.path == "[vdso]")
    binary = FileCache().file_at(os.getpid(), region)
    assert binary is not None
    names = {binary.symbol(at) for at in range(0, region.end - region.start, 16)}
    assert any(found and "clock_gettime" in found[0] for found in names)


def maps_of(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


# ---------------------------------------------------------------- processes


def test_a_process_that_is_gone_keeps_its_addresses() -> None:
    with subprocess.Popen(["/bin/true"]) as gone:
        gone.wait()
    process = Process(gone.pid, FileCache())
    assert [one.name for one in process.frames((0x1234,))] == ["0x1234"]
    assert process.why == GONE


def test_a_map_that_may_not_be_read_is_told_as_such(tmp_path: Path) -> None:
    class Forbidden(type(tmp_path)):  # type: ignore[misc]  # of this platform's own Path
        def open(self, *_: object, **__: object) -> IO[Any]:
            raise PermissionError

    process = Process(1, FileCache(Forbidden(tmp_path)))
    process.frames((0x1234,))
    assert process.why == DENIED


def test_a_file_mapped_later_is_seen(tmp_path: Path) -> None:
    """Maps are read again when an address lies outside of what is known."""
    proc = tmp_path / "7"
    proc.mkdir()
    (proc / "maps").write_text("1000-2000 r-xp 00000000 00:00 0\n")
    process = Process(7, FileCache(tmp_path))
    assert process.frames((0x1004,))[0].module is None
    (proc / "maps").write_text("1000-2000 r-xp 0 00:00 0\n5000-6000 r-xp 0 00:00 0 [anon:x]\n")
    assert process.frames((0x5004,))[0].name == "0x5004 ([anon:x])"


def test_in_a_pid_namespace_nobody_is_taken_for_somebody_else() -> None:
    """The kernel's numbers are not ours: our own number might be another process to it."""
    book = StackBook(numbers_are_ours=False)
    [known] = book.learn([stack(2, 0x1234, pid=os.getpid())])
    assert known.names == ("0x1234",)
    assert "PID namespace" in known.why


# ---------------------------------------------------------------- code made at run time


def test_a_code_map_names_what_is_within_its_functions() -> None:
    code = CodeMap(b"1000 20 LazyCompile:*fib /app/fib.js:3\n2000 10 other one\nnonsense\nzz 1 x\n")
    assert code.symbol(0x1000) == ("LazyCompile:*fib /app/fib.js:3", 0)
    assert code.symbol(0x101F) == ("LazyCompile:*fib /app/fib.js:3", 0x1F)
    assert code.symbol(0x1020) is None
    assert code.symbol(0x1020, back=True) == ("LazyCompile:*fib /app/fib.js:3", 0x20)
    assert code.symbol(0x200A) == ("other one", 10)
    assert code.symbol(0x0FFF) is None


def test_a_code_map_is_believed_as_a_plain_file_of_its_process_only(tmp_path: Path) -> None:
    """A link there could lead to anyone's file."""
    folder = tmp_path / "7" / "root" / "tmp"
    folder.mkdir(parents=True)
    assert read_code_map(tmp_path, 7, 7) is None
    (folder / "elsewhere").write_text("1000 20 f\n")
    (folder / "perf-7.map").symlink_to(folder / "elsewhere")
    assert read_code_map(tmp_path, 7, 7) is None
    (folder / "perf-3.map").write_text("1000 20 f\n")
    found = read_code_map(tmp_path, 7, 3)
    assert found is not None
    assert found.symbol(0x1000) == ("f", 0)


# ---------------------------------------------------------------- the book


def stack(number: int, *addresses: int, pid: int = 0) -> Stack:
    return Stack(id=number, space="user" if pid else "kernel", pid=pid, addresses=addresses)


def test_a_stack_is_named_once() -> None:
    book = StackBook(kernel=KernelSymbols(KALLSYMS))
    assert len(book.learn([stack(2, 0xFFFFFFFF81001004)])) == 1
    assert book.learn([stack(2, 0xFFFFFFFF81001004)]) == []
    assert book.names(2) == ("vfs_read+0x4",)


def test_a_lost_stack_is_null_and_one_without_frames_is_empty() -> None:
    book = StackBook()
    assert book.names(LOST_STACK) is None
    assert book.names(EMPTY_STACK) == ()


class FreshNames:
    """Names user stacks as a child does: no two answers share a text. Few names, many
    stacks."""

    def name_stacks(self, pid: int, stacks: Sequence[Sequence[int]]) -> NamedStacks:
        del pid
        frames = [
            [make_frame(at, f"a_function_with_a_long_name_{at % 64}") for at in addresses]
            for addresses in stacks
        ]
        return NamedStacks(frames=frames, why="")

    def close(self) -> None:
        """Nothing is open."""


def test_the_book_keeps_no_more_of_a_stack_than_the_kernels_map_of_them_does() -> None:
    """So limits.memory bounds it, too: 8 bytes an address, and what a dictionary costs."""
    count, depth = 2_000, 40
    book = StackBook(users=FreshNames())
    tracemalloc.start()
    try:
        for number in range(2, 2 + count):
            addresses = [(number + step) % 64 for step in range(depth)]
            assert len(book.learn([stack(number, *addresses, pid=7)])) == 1
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < count * (8 * depth + 256)
    assert book.names(2) is not None


def test_processes_that_were_named_long_ago_are_forgotten_and_the_latest_are_not(
    tmp_path: Path,
) -> None:
    """As the reason shows once they have exited: only what was read before has a map."""
    names = ProcessNames(FileCache(tmp_path))
    for pid in range(1, 601):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "maps").write_text("1000-2000 r-xp 0 00:00 0 [anon:x]\n")
        assert names.name_stacks(pid, [(0x1004,)]).why == ""
        assert names.name_stacks(1, [(0x1004,)]).why == ""  # it is used all the time
    for maps in tmp_path.glob("*/maps"):
        maps.unlink()
    assert names.name_stacks(600, [(0x1004,)]).frames[0][0].name == "0x1004 ([anon:x])"
    assert names.name_stacks(1, [(0x1004,)]).why == ""
    assert names.name_stacks(2, [(0x1004,)]) == NamedStacks(
        frames=[(make_frame(0x1004),)], why=GONE
    )
