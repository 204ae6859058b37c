"""What names stand for is watched: a change is noted once, with what was not seen."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.compile.program import Program, ResolvedLeftOut, ResolvedTarget
from orchestrator.kernel.abi.executables import find_executable
from orchestrator.kernel.abi.file_identity import FileIdentity
from orchestrator.run import watched_names
from orchestrator.run.watched_names import WatchedNames, WatchedPrograms
from tests.support.bcc_maps import recorded_program
from tests.support.fake_backend import program


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "binary"
    made.write_bytes(b"\x7fELF as it was")
    return made


def program_in(file: Path) -> Program:
    """The fake program, with its probe `opens` in a file."""
    [probe] = program().probes
    identity = FileIdentity.from_stat(file.stat())
    hooks = tuple(
        replace(hook, kind="uprobe", path=str(file), identity=identity) for hook in probe.hooks
    )
    return replace(program(), probes=(replace(probe, hooks=hooks),))


def replace_file(file: Path) -> None:
    other = file.with_suffix(".new")
    other.write_bytes(file.read_bytes())
    other.rename(file)


def remove_and_make_again(file: Path) -> None:
    content = file.read_bytes()
    held = file.open("rb")  # as the kernel holds what is probed: its number is not used again
    file.unlink()
    file.write_bytes(content)
    held.close()


@pytest.mark.parametrize("change", [replace_file, remove_and_make_again])
def test_a_file_that_was_replaced_is_noted_once(change: Callable[[Path], None], file: Path) -> None:
    """Its probes stay: what runs already, runs in the old file."""
    detached: list[int] = []
    names = WatchedNames(program_in(file), detached.append)
    names.look()
    assert names.changes == ()
    change(file)
    for _ in range(2):
        names.look()
        replace_file(file)
    assert len(names.changes) == 1
    assert names.changes[0].startswith(f"{file} was replaced by another file")
    assert detached == []


def test_the_probes_in_a_file_that_was_written_are_detached(file: Path) -> None:
    detached: list[int] = []
    names = WatchedNames(program_in(file), detached.append)
    file.write_bytes(b"\x7fELF and written")
    names.look()
    names.look()
    assert len(names.changes) == 1
    assert names.changes[0].startswith(f"{file} was written: opens ended there")
    assert detached == [0]


def test_a_file_that_is_gone_or_renamed_is_no_change(file: Path) -> None:
    """No other file is run in its place."""
    names = WatchedNames(program_in(file), lambda _probe: None)
    file.chmod(0o755)
    names.look()
    file.rename(file.with_suffix(".old"))
    names.look()
    assert names.changes == ()


def test_a_file_that_cannot_be_looked_at_is_said(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    names = WatchedNames(program_in(file), lambda _probe: None)
    monkeypatch.setattr(Path, "stat", refuse)
    names.look()
    assert names.changes == (f"whether {file} was replaced is not known: Permission denied",)


def test_a_cgroup_that_was_made_again_is_noted_and_one_that_is_gone_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers: Iterator[int | None] = iter([7, None, 8, 9])
    monkeypatch.setattr(watched_names, "cgroup_id", lambda _path: next(numbers))
    target = ResolvedTarget(cgroup=(("/service", 7),))
    names = WatchedNames(replace(program(), target=target), lambda _probe: None)
    for expected in (0, 0, 1, 1):
        names.look()
        assert len(names.changes) == expected
    assert names.changes[0].startswith("the cgroup /service was removed and made again")


def test_cgroups_of_a_pattern_that_are_followed_are_not_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those without room are said, as the kernel's program counts them; one that is named by its
    path is looked for as before."""
    looked: list[str] = []
    monkeypatch.setattr(watched_names, "cgroup_id", looked.append)
    monkeypatch.setattr(watched_names, "find_cgroups", looked.append)
    cgroups = (("/a/b1", 7), ("/service", 8))
    target = ResolvedTarget(cgroup=cgroups, patterns=("/a/b*",))
    lost = iter([0, 0, 2])
    names = WatchedNames(replace(program(), target=target), lambda _probe: None, lambda: next(lost))
    names.look()
    assert (looked, names.changes) == (["/service"], ())
    names.look()
    [change] = names.changes
    assert change.startswith("the map of cgroups was full: for 2 cgroups that match")


def test_where_new_cgroups_cannot_be_followed_they_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = {"/a/b1": 7}
    monkeypatch.setattr(watched_names, "find_cgroups", lambda _pattern: there)
    target = ResolvedTarget(cgroup=(("/a/b1", 7),), patterns=("/a/b*",))
    names = WatchedNames(replace(program(), target=target), lambda _probe: None)
    names.look()
    assert list(names.changes) == []
    there["/a/b2"] = 9
    names.look()
    assert list(names.changes) == [
        "1 cgroup that matches /a/b* began during the run: events in it were not seen"
    ]


@pytest.mark.parametrize("left_out", [False, True])
def test_a_program_of_the_target_that_was_replaced_is_noted_once(
    left_out: bool, file: Path
) -> None:
    """One that is gone is not: nothing new runs."""
    chosen = ((str(file), find_executable(str(file))),)
    others = ResolvedLeftOut(exe=chosen)
    target = ResolvedTarget(left_out=others) if left_out else ResolvedTarget(exe=chosen)
    names = WatchedNames(replace(program(), target=target), lambda _probe: None)
    file.rename(file.with_suffix(".old"))
    names.look()
    assert list(names.changes) == []
    file.write_bytes(b"another")
    names.look()
    names.look()
    assert list(names.changes) == [
        f"{file} was replaced by another file: what runs the new one is not the target"
    ]


# ---------------------------------------------------------------- 32-bit programs

BY_NAME = "  p: {attach: 'syscall:getppid', emit: {}}\n"
BY_EVENT = "  p: {attach: 'tracepoint:syscalls:sys_enter_getppid', emit: {}}\n"
BY_NUMBER = "  q: {attach: 'tracepoint:raw_syscalls:sys_enter', where: compat, emit: {}}\n"
OF_A_FILE = "  p: {attach: 'uprobe:libc.so.6:malloc', emit: {}}\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Process 7 runs a 32-bit program, process 8 a 64-bit one."""
    for pid, word in ((7, 1), (8, 2)):
        file = tmp_path / f"program{pid}"
        file.write_bytes(b"\x7fELF" + bytes([word]))
        file.chmod(0o755)
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "exe").symlink_to(file)
    return tmp_path


def noted(probes: str, proc: Path, pid: int) -> tuple[str, ...]:
    plan = f"target: {{pid: {pid}}}\nprobes:\n{probes}"
    programs = WatchedPrograms(recorded_program(plan), proc=proc)
    programs.look()
    programs.look()
    return programs.changes


@pytest.mark.parametrize("probes", [BY_NAME, BY_EVENT])
def test_a_32_bit_target_of_probes_on_named_calls_is_noted_once(probes: str, proc: Path) -> None:
    [change] = noted(probes, proc, 7)
    assert change.startswith(f"{proc}/program7 is a 32-bit program: p did not see its system calls")
    assert noted(probes, proc, 8) == ()
    assert noted(probes, proc, 9) == ()  # it has ended


@pytest.mark.parametrize("probes", [BY_NAME + BY_NUMBER, OF_A_FILE])
def test_a_plan_that_sees_the_calls_or_asks_for_none_is_not_blind(probes: str, proc: Path) -> None:
    assert noted(probes, proc, 7) == ()


def test_a_process_that_executes_a_32_bit_program_is_noted_and_so_is_the_command(
    proc: Path,
) -> None:
    """The command may have ended before it is looked at for the first time."""
    plan = recorded_program(f"target: {{pid: 8}}\nprobes:\n{BY_NAME}")
    programs = WatchedPrograms(plan, proc=proc)
    programs.look()
    assert programs.changes == ()
    (proc / "8" / "exe").unlink()
    (proc / "8" / "exe").symlink_to(proc / "program7")
    programs.look()
    assert len(programs.changes) == 1
    for number, count in ((7, 1), (8, 0)):
        of_command = WatchedPrograms(plan, [str(proc / f"program{number}")], 99, proc=proc)
        assert len(of_command.changes) == count
