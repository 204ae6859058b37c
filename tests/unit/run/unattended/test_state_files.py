"""State files: whole, private, never through links, and read without trusting what is there."""

import os
import stat
from pathlib import Path

import pytest

from orchestrator.run.unattended.state_files import (
    DamagedState,
    field_of,
    list_names,
    private_directory,
    read_state,
    remove_state,
    write_state,
)
from tests.support.folders import names_in


def test_what_is_written_is_read_and_private(tmp_path: Path) -> None:
    path = tmp_path / "below" / "state"
    with private_directory(path, make=True) as directory:
        write_state(directory, "one", {"text": "é", "number": 3})
        assert read_state(directory, "one") == {"text": "é", "number": 3}
        assert list_names(directory) == ["one"]
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (path.parent, path, path / "one.json")]
    assert modes == [0o700, 0o700, 0o600]
    assert names_in(path) == ["one.json"]


def test_a_name_is_synced_before_the_write_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file, then its name, then the directory's: the order in which a crash is survived."""
    order: list[str] = []
    sync, rename = os.fsync, os.rename

    def note_sync(file: int) -> None:
        order.append("directory" if stat.S_ISDIR(os.fstat(file).st_mode) else "file")
        sync(file)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(
        os, "rename", lambda *args, **kwargs: (order.append("rename"), rename(*args, **kwargs))
    )
    with private_directory(tmp_path / "state", make=True) as directory:
        assert order == ["directory"]
        order.clear()
        write_state(directory, "one", {})
        assert order == ["file", "rename", "directory"]
        order.clear()
        remove_state(directory, "one")
        assert order == ["directory"]


def test_a_directory_that_others_can_write_to_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o770)
    with (
        pytest.raises(PermissionError, match=r"mode 0770\); chmod go-w") as refused,
        private_directory(tmp_path / "state"),
    ):
        pass
    assert refused.value.filename == str(tmp_path / "state")


@pytest.mark.root
def test_a_directory_of_another_user_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    os.chown(tmp_path / "state", 1234, 1234)
    with (
        pytest.raises(PermissionError, match="belongs to user 1234"),
        private_directory(tmp_path / "state", make=True),
    ):
        pass


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "state").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError), private_directory(tmp_path / "state", make=True):  # noqa: PT011
        pass
    victim = tmp_path / "victim"
    victim.write_text("{}")
    with private_directory(tmp_path / "elsewhere") as directory:
        (tmp_path / "elsewhere" / "one.json").symlink_to(victim)
        with pytest.raises(DamagedState, match="cannot be read"):
            read_state(directory, "one")
        write_state(directory, "one", {"new": 1})
        assert read_state(directory, "one") == {"new": 1}
    assert victim.read_text() == "{}"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not JSON"),
        (b"\0" * 512, "not JSON"),
        (b'{"torn": ', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 60_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b" " * 70_000, "larger than 64 KiB"),
    ],
)
def test_what_no_writer_wrote_is_damaged(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "one.json").write_bytes(content)
    with private_directory(tmp_path) as directory, pytest.raises(DamagedState, match=why):
        read_state(directory, "one")


def test_what_is_no_file_is_damaged_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "one.json")
    (tmp_path / "two.json").mkdir()
    with private_directory(tmp_path) as directory:
        for name in ("one", "two"):
            with pytest.raises(DamagedState):
                read_state(directory, name)
        with pytest.raises(FileNotFoundError):
            read_state(directory, "three")


@pytest.mark.parametrize("value", [None, 1, "a\nb", "\x1b[31m"])
def test_a_text_is_one_that_can_be_shown(value: object) -> None:
    with pytest.raises(DamagedState, match="'name'"):
        field_of({"name": value}, "name", str)


@pytest.mark.parametrize("value", [None, "1", 1.5, True, -1, 1 << 63])
def test_a_number_is_a_time(value: object) -> None:
    with pytest.raises(DamagedState, match="'since_ns'"):
        field_of({"since_ns": value}, "since_ns", int)


def test_what_killed_writers_left_is_removed_later(tmp_path: Path) -> None:
    torn, fresh = tmp_path / ".probeplan.1.abc", tmp_path / ".probeplan.2.def"
    torn.touch()
    fresh.touch()
    os.utime(torn, (0, 0))
    with private_directory(tmp_path) as directory:
        write_state(directory, "one", {})
        assert list_names(directory) == ["one"]
    assert names_in(tmp_path) == [".probeplan.2.def", "one.json"]
