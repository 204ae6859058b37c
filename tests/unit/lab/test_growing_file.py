"""Passing on a file that another process writes."""

import os
from pathlib import Path

import pytest

from orchestrator.lab.growing_file import GrowingFile


def test_what_is_appended_is_passed_on_once(tmp_path: Path) -> None:
    """Also before the file exists, across chunks, and after it was emptied."""
    seen: list[bytes] = []
    path = tmp_path / "file"
    file = GrowingFile(path, seen.append)
    file.pass_on()
    assert seen == []
    big = os.urandom(100_000)
    path.write_bytes(big)
    file.pass_on()
    file.pass_on()
    assert b"".join(seen) == big
    seen.clear()
    path.write_bytes(b"later")
    file.pass_on()
    assert seen == [b"later"]
    file.close()
    file.close()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_file_is_not_opened(tmp_path: Path, kind: str) -> None:
    """A guest's root could make it; a pipe would block for ever."""
    path = tmp_path / "file"
    (tmp_path / "secret").write_text("secret")
    makers = {
        "link": lambda: path.symlink_to(tmp_path / "secret"),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
    }
    makers[kind]()
    seen: list[bytes] = []
    GrowingFile(path, seen.append).pass_on()
    assert seen == []
