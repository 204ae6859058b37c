"""FILE.sig: when it is absent, and when it is there and cannot be used."""

import os
from pathlib import Path

import pytest

from orchestrator.signatures.detached import read_detached, signature_path
from orchestrator.signatures.model import SignatureRefused


def test_a_signature_is_next_to_its_file() -> None:
    assert signature_path("plans/a.yaml") == "plans/a.yaml.sig"


def test_it_is_read_up_to_its_bound(tmp_path: Path) -> None:
    file = tmp_path / "a.sig"
    for size in (0, 1, 64 << 10):
        file.write_bytes(b"x" * size)
        assert read_detached(str(file)) == b"x" * size
    file.write_bytes(b"x" * ((64 << 10) + 1))
    with pytest.raises(SignatureRefused, match="is larger than 64 KiB"):
        read_detached(str(file))


def test_only_what_does_not_exist_is_absent(tmp_path: Path) -> None:
    """Also below what is no folder, such as a descriptor, and in names that no file can have."""
    (tmp_path / "file").write_bytes(b"")
    names = ("a.sig", "file/a.sig", "a\0.sig", f"{'x' * 252}.sig")
    for path in (f"{tmp_path}/{name}" for name in names):
        assert read_detached(str(path)) is None


def test_a_link_to_a_signature_is_followed_and_one_to_nowhere_is_absent(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / "a.sig").symlink_to("real")
    (tmp_path / "b.sig").symlink_to("nowhere")
    assert read_detached(str(tmp_path / "a.sig")) == b"x"
    assert read_detached(str(tmp_path / "b.sig")) is None


def test_what_is_there_and_cannot_be_read_is_refused_and_not_absent(tmp_path: Path) -> None:
    """A loop of links, a folder, a pipe; in a printable line."""
    (tmp_path / "loop\x1b.sig").symlink_to("loop\x1b.sig")
    (tmp_path / "folder.sig").mkdir()
    os.mkfifo(tmp_path / "pipe.sig")
    for name, why in (
        ("loop\x1b.sig", "Too many levels of symbolic links"),
        ("folder.sig", "Is a directory"),
        ("pipe.sig", "is not a regular file"),
    ):
        with pytest.raises(SignatureRefused, match=why) as caught:
            read_detached(str(tmp_path / name))
        assert str(caught.value).isprintable()
