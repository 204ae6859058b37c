"""A file is known again, and so is one that was replaced or written."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.kernel.abi.file_identity import (
    FileChanged,
    FileIdentity,
    open_unchanged,
    require_unchanged,
)


def identify(file: Path) -> FileIdentity:
    return FileIdentity.from_stat(file.stat())


def replace_file(file: Path) -> None:
    other = file.with_suffix(".new")
    other.write_bytes(file.read_bytes())
    other.rename(file)


def write_in_place(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[::-1])


def write_and_hide(file: Path) -> None:
    """The time stamp and size are as before; the time of the change cannot be set."""
    before = file.stat()
    write_in_place(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = pytest.mark.parametrize("change", [replace_file, write_in_place, write_and_hide])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "binary"
    made.write_bytes(b"\x7fELF and more")
    os.utime(made, ns=(1, 1))
    return made


@CHANGES
def test_a_file_that_changed_is_not_the_same(change: Callable[[Path], None], file: Path) -> None:
    identity = identify(file)
    require_unchanged(str(file), identity)
    change(file)
    with pytest.raises(FileChanged, match=r"replaced|changed") as caught:
        require_unchanged(str(file), identity)
    assert caught.value.errno == errno.ESTALE


@CHANGES
def test_a_descriptor_names_the_file_itself_and_is_checked_twice(
    change: Callable[[Path], None], file: Path
) -> None:
    identity = identify(file)
    with open_unchanged(str(file), identity) as name:
        assert Path(name).stat().st_ino == identity.inode
    opened = open_unchanged(str(file), identity)
    held = opened.__enter__()
    change(file)
    assert Path(held).stat().st_ino == identity.inode
    if change is replace_file:
        return  # the descriptor still is of the right file
    with pytest.raises(FileChanged):
        opened.__exit__(None, None, None)


def test_a_new_name_owner_or_mode_changes_no_content(file: Path) -> None:
    identity = identify(file)
    file.chmod(0o700)
    assert identify(file).has_same_content(identity)
    write_in_place(file)
    assert not identify(file).has_same_content(identity)
    assert identify(file).is_same_file(identity)
