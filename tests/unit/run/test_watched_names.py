"""What names stand for is watched: a change is noted once, with what was not seen."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.compile.program import Program, ResolvedTarget
from orchestrator.kernel.abi.file_identity import FileIdentity
from orchestrator.run import watched_names
from orchestrator.run.watched_names import WatchedNames
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
