"""Names of other processes' code come from a child: whatever it meets, it costs bounded time."""

import contextlib
import os
import resource
import signal
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from orchestrator.symbols import isolated as module
from orchestrator.symbols import process as of_process
from orchestrator.symbols.code_map import read_code_map
from orchestrator.symbols.isolated import IsolatedNames
from orchestrator.symbols.process import (
    FileCache,
    NamedStacks,
    Process,
    ProcessNames,
    regions_of,
)
from tests.support.hostile_elf import write_hostile_elf

HOSTILE, HARMLESS = 7, 8


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[IsolatedNames]:
    """With patience for a busy machine, where a fork of this process alone may take seconds."""
    monkeypatch.setattr(module, "_PATIENCE_S", 60.0)
    made = IsolatedNames()
    yield made
    made.close()


def in_child(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """What the child does for HOSTILE; for other processes it returns no frames."""

    def name_stacks(_self: ProcessNames, pid: int, stacks: Sequence[Sequence[int]]) -> NamedStacks:
        result = act() if pid == HOSTILE else ""
        return NamedStacks(frames=[() for _ in stacks], why=str(result))

    monkeypatch.setattr(ProcessNames, "name_stacks", name_stacks)


def test_names_are_those_of_this_process(names: IsolatedNames) -> None:
    """The same as without a child, for code of this interpreter."""
    maps = Path("/proc/self/maps").read_text()
    region = next(one for one in regions_of(maps) if "libc.so" in one.path)
    stacks = [(region.start + 0x1000, region.start + 0x2345), (region.end - 16,)]
    alone = ProcessNames(FileCache()).name_stacks(os.getpid(), stacks)
    assert alone.why == ""
    assert names.name_stacks(os.getpid(), stacks) == alone


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda: time.sleep(60), "too long"),
        (lambda: bytearray(2 << 30), "MemoryError"),
        (lambda: os.kill(os.getpid(), signal.SIGBUS), "too long"),
        (lambda: {}[0], "KeyError"),
    ],
    ids=["never ends", "takes two gigabytes", "is killed", "raises"],
)
def test_hostile_input_costs_its_process_the_names_and_no_other(
    names: IsolatedNames, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], said: str
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 2.0)
    in_child(monkeypatch, act)
    named = names.name_stacks(HOSTILE, [(0x10, 0x20)])
    assert [frame.name for frame in named.frames[0]] == ["0x10", "0x20"]
    assert said in named.why
    assert names.name_stacks(HARMLESS, [(1,)]) == NamedStacks(frames=[()], why="")


def test_a_process_that_took_too_long_is_not_asked_about_again(
    names: IsolatedNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 0.3)
    in_child(monkeypatch, lambda: time.sleep(60))
    names.name_stacks(HOSTILE, [(1,)])
    monkeypatch.setattr(names, "start", lambda: pytest.fail("it was asked"))
    assert "too long" in names.name_stacks(HOSTILE, [(1,)]).why


def test_all_naming_that_is_not_quick_has_a_budget(
    names: IsolatedNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BUDGET_S", 0.0)
    in_child(monkeypatch, lambda: time.sleep(0.2))
    assert names.name_stacks(HOSTILE, [(1,)]).frames == [()]
    named = names.name_stacks(HARMLESS, [(1,)])
    assert "took too long" in named.why
    assert [frame.name for frame in named.frames[0]] == ["0x1"]


def list_open_files() -> list[str]:
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # that of the listing
            found.append(str(link.readlink()))
    return found


def test_the_child_has_nothing_of_ours_open(
    names: IsolatedNames, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The lock of a journal, for instance, would outlive us."""
    with (tmp_path / "journal").open("w"):
        in_child(monkeypatch, list_open_files)
        opened = names.name_stacks(HOSTILE, [(1,)]).why
    assert "socket:" in opened
    assert "journal" not in opened


def test_the_child_ends_when_it_is_closed(names: IsolatedNames) -> None:
    names.start()
    pid = names._pid
    names.close()
    assert not Path(f"/proc/{pid}").exists()
    names.close()


# ---------------------------------------------------------------- what the child reads


@pytest.mark.parametrize("name", [r"a\012b", r"a\012\x", r"a\012\N{x}", "\udcff", "a\x85b"])
def test_no_file_name_breaks_the_reading_of_a_map(name: str) -> None:
    """The kernel writes a newline as \\012, and everything else as it is."""
    text = f"1000-2000 r-xp 00000000 08:01 7 /app/{name}\n"
    [region] = [one for one in regions_of(text) if one.path]
    assert region.path == "/app/" + name.replace(r"\012", "\n")


def test_a_map_of_run_time_code_is_read_again_only_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "7" / "root" / "tmp"
    folder.mkdir(parents=True)
    (tmp_path / "7" / "maps").write_text("1000-9000 r-xp 00000000 00:00 0\n")
    (folder / "perf-7.map").write_text("1000 20 first\n")
    reads: list[int] = []

    def counted(proc: Path, pid: int, inner: int) -> object:
        reads.append(pid)
        return read_code_map(proc, pid, inner)

    monkeypatch.setattr(of_process, "read_code_map", counted)
    process = Process(7, FileCache(tmp_path))
    for address in range(0x2000, 0x2100):
        process.frames((address,))
    assert len(reads) == 1
    (folder / "perf-7.map").write_text("1000 20 first\n2000 200 second\n")
    assert process.frames((0x2004,))[0].symbol == "second"
    assert len(reads) == 2


def test_an_image_that_cannot_be_read_is_tried_once(tmp_path: Path) -> None:
    proc = tmp_path / "7"
    (proc / "map_files").mkdir(parents=True)
    (proc / "maps").write_text("1000-9000 r-xp 00000000 08:01 5 /x\n")
    damaged = proc / "map_files" / "1000-9000"
    damaged.write_bytes(b"\x7fELF\x02\x01" + bytes(10) + struct.pack("<HH", 2, 62))
    cache = FileCache(tmp_path)
    process = Process(7, cache)
    assert process.frames((0x2000,))[0].symbol is None
    damaged.unlink()
    damaged.mkdir()  # opening it now would be another error
    assert process.frames((0x2001,))[0].symbol is None
    assert len(cache._unreadable) == 1


@pytest.mark.parametrize("size", [10 << 30, 32 << 20])
def test_a_file_that_is_made_to_be_expensive_costs_no_more_than_its_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """It has no symbols for us, and the process keeps its addresses."""
    monkeypatch.setattr(module, "_PATIENCE_S", 20.0)  # not the patience ends it
    proc = tmp_path / "7"
    (proc / "map_files").mkdir(parents=True)
    (proc / "maps").write_text("1000-9000 r-xp 00000000 08:01 5 /x\n")
    write_hostile_elf(proc / "map_files" / "1000-9000", table_bytes=size)
    names = IsolatedNames(FileCache(tmp_path))
    try:
        [[frame]] = names.name_stacks(7, [(0x2000,)]).frames
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    finally:
        names.close()
    assert frame.symbol is None
    assert frame.name.startswith("0x2000")
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < peak + (1 << 20)
