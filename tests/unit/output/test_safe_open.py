"""Files are not opened through what others have put into directories that everybody can write to.

The last directory of the path and all on the way to it are looked at, our own links included.
"""

import os
import stat
from pathlib import Path

import pytest

from orchestrator.output.result import ResultDirectory, ResultDirectoryError
from orchestrator.output.safe_open import open_for_append


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A directory as /tmp is."""
    directory = tmp_path / "shared"
    directory.mkdir()
    directory.chmod(0o1777)
    return directory


def append(path: Path | str, text: bytes = b"line\n") -> None:
    handle = open_for_append(path)
    os.write(handle, text)
    os.close(handle)


def test_a_file_is_made_for_its_owner_alone_and_appended_to(shared: Path) -> None:
    append(shared / "log")
    append(shared / "log")
    assert (shared / "log").read_bytes() == b"line\nline\n"
    assert stat.S_IMODE((shared / "log").stat().st_mode) == 0o600


@pytest.mark.root
@pytest.mark.parametrize(("give", "owner"), [(False, 0), (True, 1234)])
def test_root_gives_a_new_file_to_the_owner_of_its_folder_where_it_should(
    tmp_path: Path, give: bool, owner: int
) -> None:
    os.chown(tmp_path, 1234, 1235)
    os.close(open_for_append(tmp_path / "log", give=give))
    assert (tmp_path / "log").stat().st_uid == owner
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600
    os.chown(tmp_path / "log", 0, 0)
    os.close(
        open_for_append(tmp_path / "log", give=give)
    )  # what is there already stays whose it is
    assert (tmp_path / "log").stat().st_uid == 0


def test_a_link_that_was_planted_is_not_followed(shared: Path, tmp_path: Path) -> None:
    """Neither one to a file, nor one to nothing, which open(2) would make, nor a directory's."""
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    (shared / "file").symlink_to(victim)
    (shared / "new").symlink_to(tmp_path / "made")
    (shared / "folder").symlink_to(tmp_path)
    for path in ("file", "new", "folder/victim"):
        with pytest.raises(OSError, match="is a link, and every user can make links there"):
            append(shared / path)
    assert victim.read_text() == "as it was"
    assert not (tmp_path / "made").exists()


def test_a_link_of_ours_that_leads_there_does_not_help(shared: Path, tmp_path: Path) -> None:
    (shared / "planted").symlink_to(tmp_path / "made")
    (tmp_path / "ours").symlink_to(shared / "planted")
    with pytest.raises(OSError, match="'planted' is a link"):
        append(tmp_path / "ours")
    (tmp_path / "plain").symlink_to("target")
    append(tmp_path / "plain")
    assert (tmp_path / "target").read_bytes() == b"line\n"


def test_a_second_name_of_another_file_is_not_written(shared: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.touch()
    (shared / "log").hardlink_to(victim)
    with pytest.raises(OSError, match="not our own"):
        append(shared / "log")


@pytest.mark.root
def test_somebody_elses_file_or_directory_is_not_used(shared: Path) -> None:
    (shared / "log").touch()
    (shared / "out").mkdir()
    for name in ("log", "out"):
        os.chown(shared / name, 65534, 65534)
    with pytest.raises(OSError, match="not our own"):
        append(shared / "log")
    with pytest.raises(ResultDirectoryError, match="not our own"):
        ResultDirectory(shared / "out")


def test_a_directory_in_which_everybody_can_replace_files_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    (tmp_path / "out").mkdir(mode=0o700)
    for use in (append, ResultDirectory):
        with pytest.raises((OSError, ResultDirectoryError), match="not sticky"):
            use(tmp_path / "out")
    tmp_path.chmod(0o700)
    (tmp_path / "out").chmod(0o777)
    with pytest.raises(ResultDirectoryError, match="not sticky"):
        ResultDirectory(tmp_path / "out")


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="one too many"):
        append(tmp_path / "a")


def test_devices_and_open_files_can_be_named(tmp_path: Path) -> None:
    """Such as /dev/null, and /dev/fd/N, which is a link into procfs."""
    append("/dev/null")
    read, write = os.pipe()
    append(f"/dev/fd/{write}")
    assert os.read(read, 100) == b"line\n"
    os.close(read)
    os.close(write)


def test_a_path_that_leads_nowhere_is_told_as_it_was_given(tmp_path: Path) -> None:
    for wrong in (tmp_path / "no" / "log", tmp_path):
        with pytest.raises(OSError, match=r".") as reported:
            append(wrong)
        assert reported.value.filename == str(wrong)
