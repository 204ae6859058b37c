"""Appending to a file as other processes do."""

import fcntl
import os
import stat
import threading
from pathlib import Path

import pytest

from orchestrator.output.append_locked import append_locked


def test_what_is_there_decides_what_is_appended(tmp_path: Path) -> None:
    for _ in range(3):
        append_locked(tmp_path / "rows", lambda content: b"%d\n" % len(content))
    assert (tmp_path / "rows").read_bytes() == b"0\n2\n4\n"
    assert stat.S_IMODE((tmp_path / "rows").stat().st_mode) == 0o644


@pytest.mark.root
def test_root_makes_the_file_for_the_owner_of_the_folder(tmp_path: Path) -> None:
    os.chown(tmp_path, 1234, 1235)
    append_locked(tmp_path / "rows", lambda _content: b"x\n")
    assert (tmp_path / "rows").stat().st_uid == 1234


def test_writers_wait_for_each_other_and_one_writes_the_header(tmp_path: Path) -> None:
    def work() -> None:
        for _ in range(25):
            append_locked(
                tmp_path / "rows", lambda content: b"row\n" if content else b"head\nrow\n"
            )

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "rows").read_bytes() == b"head\n" + b"row\n" * 200


def test_others_are_kept_out_while_it_is_decided_what_to_append(tmp_path: Path) -> None:
    def look(_content: bytes) -> bytes:
        with (tmp_path / "rows").open("rb") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return b"row\n"

    append_locked(tmp_path / "rows", look)
    assert (tmp_path / "rows").read_bytes() == b"row\n"


def test_a_row_that_is_written_in_part_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows").write_bytes(b"whole\n")
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, text: write(file, text[:2]))
    with pytest.raises(OSError, match="No space left") as caught:
        append_locked(tmp_path / "rows", lambda _content: b"another\n")
    assert caught.value.filename == str(tmp_path / "rows")
    assert (tmp_path / "rows").read_bytes() == b"whole\n"


def test_an_error_of_the_caller_writes_nothing(tmp_path: Path) -> None:
    def refuse(_content: bytes) -> bytes:
        raise KeyError("other columns")

    with pytest.raises(KeyError):
        append_locked(tmp_path / "rows", refuse)
    assert (tmp_path / "rows").read_bytes() == b""


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        append_locked(tmp_path / "pipe", lambda _content: b"x")
