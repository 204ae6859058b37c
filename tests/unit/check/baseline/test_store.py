"""The file of a baseline: whole or untouched, never through a link, by several writers."""

import os
import stat
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import pytest

from orchestrator.check.baseline import store
from orchestrator.check.baseline.model import Baseline, BaselineEntry, EntryKey
from orchestrator.check.baseline.store import change_baseline, read_baseline
from orchestrator.plan.findings import PlanError
from tests.support.measurements import HERE


def names_in(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


def entry(arch: str) -> BaselineEntry:
    return BaselineEntry(
        key=EntryKey(arch=arch), environment=HERE, recorded="2026", probes={}, metrics={}
    )


def add(arch: str) -> object:
    """A change that adds an entry."""

    def change(stored: Baseline | None) -> Baseline:
        before = stored.entries if stored else ()
        return Baseline(check="x", entries=(*before, entry(arch)))

    return change


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.baseline.json"


def test_what_was_written_is_read(path: Path) -> None:
    assert read_baseline(path) is None
    assert change_baseline(path, add("a"))
    assert change_baseline(path, add("b"))
    stored = read_baseline(path)
    assert stored is not None
    assert [one.key.arch for one in stored.entries] == ["a", "b"]
    assert names_in(path.parent) == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_without_a_change_the_file_is_not_touched(path: Path) -> None:
    change_baseline(path, add("a"))
    before = path.stat()
    assert not change_baseline(path, lambda stored: stored or Baseline(check="x"))
    after = path.stat()  # whose time of access is that of reading it
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_folder_that_is_not_there_has_no_baseline_and_takes_none(path: Path) -> None:
    inner = path.parent / "none" / "x.json"
    assert read_baseline(inner) is None
    with pytest.raises(PlanError, match=r"PP223.*cannot be written: No such file"):
        change_baseline(inner, add("a"))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "PP220"),
        (b"{}", "PP220"),
        (b"<<<<<<< HEAD", "PP220"),
        (b'{"format": "probeplan/baseline-v2"}', "PP221"),
    ],
)
def test_what_cannot_be_understood_is_never_overwritten(
    path: Path, content: bytes, code: str
) -> None:
    path.write_bytes(content)
    with pytest.raises(PlanError, match=code):
        read_baseline(path)
    with pytest.raises(PlanError, match=code):
        change_baseline(path, add("a"))
    assert path.read_bytes() == content
    assert names_in(path.parent) == [path.name]


def test_a_file_that_is_too_large_is_not_read_to_its_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_baseline(path, add("a"))
    monkeypatch.setattr(store, "MAX_BYTES", path.stat().st_size)
    assert read_baseline(path) is not None
    monkeypatch.setattr(store, "MAX_BYTES", path.stat().st_size - 1)
    with pytest.raises(PlanError, match=r"PP220.*larger"):
        read_baseline(path)


def test_a_link_is_neither_read_nor_written_through(path: Path) -> None:
    target = path.parent / "target.json"
    change_baseline(target, add("a"))
    before = target.read_bytes()
    for goal in (target, path.parent / "not-there"):
        path.symlink_to(goal)
        with pytest.raises(PlanError, match=r"PP222.*a symbolic link"):
            read_baseline(path)
        with pytest.raises(PlanError, match="PP222"):
            change_baseline(path, add("b"))
        assert path.is_symlink()
        path.unlink()
    assert target.read_bytes() == before
    assert names_in(path.parent) == ["target.json"]


def test_a_link_that_is_put_there_meanwhile_is_replaced_and_not_followed(path: Path) -> None:
    victim = path.parent / "victim"
    victim.write_text("mine")

    def change(stored: Baseline | None) -> Baseline:
        path.symlink_to(victim)
        return Baseline(check="x", entries=(entry("a"),))

    assert change_baseline(path, change)
    assert victim.read_text() == "mine"
    assert not path.is_symlink()
    assert read_baseline(path) is not None


def test_a_pipe_or_a_folder_is_no_baseline_and_is_not_waited_for(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(PlanError, match=r"PP222.*not a regular file"):
        read_baseline(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(PlanError, match="PP222"):
        change_baseline(path, add("a"))


def test_a_write_that_fails_leaves_the_file_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_baseline(path, add("a"))
    before = path.read_bytes()

    def refuse(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(PlanError, match=r"PP223.*No space left on device"):
        change_baseline(path, add("b"))
    assert path.read_bytes() == before
    assert names_in(path.parent) == [path.name]


@pytest.fixture
def someone(tmp_path: Path) -> Iterator[int]:
    """A user without rights, while the test's effective user is that one."""
    if os.geteuid() != 0:
        yield os.geteuid()
        return
    folder = tmp_path
    while folder != Path("/tmp") and folder.parent != folder:  # noqa: S108  # where pytest works
        folder.chmod(0o755)
        folder = folder.parent
    os.chown(tmp_path, 65534, 65534)
    os.seteuid(65534)
    yield 65534
    os.seteuid(0)


def test_a_folder_that_cannot_be_written_is_said(path: Path, someone: int) -> None:
    change_baseline(path, add("a"))
    before = path.read_bytes()
    path.parent.chmod(0o555)
    with pytest.raises(PlanError, match=r"PP223.*Permission denied"):
        change_baseline(path, add("b"))
    assert path.read_bytes() == before
    path.chmod(0)
    with pytest.raises(PlanError, match=r"PP223.*cannot be read"):
        read_baseline(path)
    path.parent.chmod(0o755)


@pytest.mark.root
def test_a_file_that_root_writes_belongs_to_the_owner_of_the_folder(path: Path) -> None:
    os.chown(path.parent, 1234, 4321)
    change_baseline(path, add("a"))
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 4321)


def _add_many(path: str, who: int) -> None:
    for number in range(5):
        change_baseline(Path(path), add(f"{who}-{number}"))


def test_writers_at_one_time_all_get_their_entries_in(path: Path) -> None:
    context = get_context("fork")
    writers = [context.Process(target=_add_many, args=(str(path), who)) for who in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    stored = read_baseline(path)
    assert stored is not None
    assert len(stored.entries) == 20
    assert names_in(path.parent) == [path.name]
