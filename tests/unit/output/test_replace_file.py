"""Reports are written whole or not at all, and only where that is safe."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.output.replace_file import check_replaceable, replace_file


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A directory as /tmp is."""
    directory = tmp_path / "shared"
    directory.mkdir()
    directory.chmod(0o1777)
    return directory


def test_a_new_file_is_for_all_to_read_and_nothing_else_is_left(tmp_path: Path) -> None:
    check_replaceable(tmp_path / "report")
    assert list(tmp_path.iterdir()) == []
    replace_file(tmp_path / "report", b"whole")
    assert (tmp_path / "report").read_bytes() == b"whole"
    assert stat.S_IMODE((tmp_path / "report").stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_reader_of_the_old_file_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "report").write_bytes(b"old and longer")
    with (tmp_path / "report").open("rb") as old:
        replace_file(tmp_path / "report", b"new")
        assert old.read() == b"old and longer"
    assert (tmp_path / "report").read_bytes() == b"new"


def test_the_mode_of_a_file_stays(tmp_path: Path) -> None:
    (tmp_path / "report").touch(0o600)
    replace_file(tmp_path / "report", b"new")
    assert stat.S_IMODE((tmp_path / "report").stat().st_mode) == 0o600


@pytest.mark.root
def test_root_writes_for_the_owner_of_the_folder_or_of_the_file(tmp_path: Path) -> None:
    os.chown(tmp_path, 1234, 1235)
    replace_file(tmp_path / "report", b"first")
    assert ((tmp_path / "report").stat().st_uid, (tmp_path / "report").stat().st_gid) == (
        1234,
        1235,
    )
    os.chown(tmp_path / "report", 4321, 1235)
    replace_file(tmp_path / "report", b"second")
    assert (tmp_path / "report").stat().st_uid == 4321


def test_a_file_that_cannot_be_written_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "report").write_bytes(b"old")

    def fail(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left") as caught:
        replace_file(tmp_path / "report", b"new")
    assert caught.value.filename == str(tmp_path / "report")
    assert (tmp_path / "report").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


@pytest.mark.parametrize("path", ["missing/report", "folder", "file/report"])
def test_a_place_that_takes_no_file_is_refused_before_it_is_written(
    tmp_path: Path, path: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for use in (check_replaceable, lambda where: replace_file(where, b"x")):
        with pytest.raises(OSError, match=r"No such file|Is a directory|Not a directory") as caught:
            use(tmp_path / path)
        assert caught.value.filename == str(tmp_path / path)


def test_a_link_that_was_planted_is_not_followed(shared: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    (shared / "report").symlink_to(victim)
    for use in (check_replaceable, lambda where: replace_file(where, b"x")):
        with pytest.raises(OSError, match="is a link, and every user can make links there"):
            use(shared / "report")
    assert victim.read_text() == "as it was"


@pytest.mark.root
def test_a_file_that_another_user_has_put_there_is_refused(shared: Path) -> None:
    (shared / "report").write_bytes(b"theirs")
    os.chown(shared / "report", 1234, 1235)
    for use in (check_replaceable, lambda where: replace_file(where, b"x")):
        with pytest.raises(OSError, match="it is not our own"):
            use(shared / "report")
    assert (shared / "report").read_bytes() == b"theirs"


def test_a_link_of_ones_own_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    replace_file(tmp_path / "link", b"x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"x"


def test_a_named_pipe_waits_for_its_reader_only_when_it_is_written(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    check_replaceable(tmp_path / "pipe")  # nothing reads it yet
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit((tmp_path / "pipe").read_bytes)
        replace_file(tmp_path / "pipe", b"whole")
        assert reading.result() == b"whole"


def test_a_pipe_is_written_to() -> None:
    reader, writer = os.pipe()
    try:
        check_replaceable(f"/dev/fd/{writer}")
        replace_file(f"/dev/fd/{writer}", b"whole")
        assert os.read(reader, 100) == b"whole"
    finally:
        os.close(reader)
        os.close(writer)
