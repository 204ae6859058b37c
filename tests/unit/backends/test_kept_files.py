"""What is kept is found again, unless it was changed, is foreign, or was too old."""

import os
from pathlib import Path

import pytest

from orchestrator.backends import cache_directory, kept_files
from orchestrator.backends.kept_files import LARGE, forget_kept, read_kept, write_kept


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache directory that only this test has."""
    monkeypatch.delenv("PROBEPLAN_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(cache_directory, "SYSTEM_DIRECTORY", tmp_path / "probeplan")
    return tmp_path / "probeplan"


@pytest.mark.usefixtures("cache")
def test_what_was_written_is_read_until_it_is_forgotten() -> None:
    assert read_kept("name") is None
    write_kept("name", b"body\nof lines\n")
    assert read_kept("name") == b"body\nof lines\n"
    forget_kept("name")
    assert read_kept("name") is None
    forget_kept("name")


def test_a_changed_file_is_not_used(cache: Path) -> None:
    write_kept("name", b"body")
    file = cache / "name"
    for damaged in (file.read_bytes()[:-1], file.read_bytes() + b"x", b"", b"body"):
        file.write_bytes(damaged)
        assert read_kept("name") is None


def test_a_directory_that_others_may_write_to_is_not_used(cache: Path) -> None:
    write_kept("name", b"body")
    cache.chmod(0o770)
    assert read_kept("name") is None
    write_kept("other", b"body")
    forget_kept("name")
    assert [file.name for file in cache.iterdir()] == ["name"]


def test_nothing_is_kept_where_that_is_switched_off(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROBEPLAN_CACHE", "off")
    write_kept("name", b"body")
    assert read_kept("name") is None
    assert not cache.exists()


def test_the_newest_of_large_and_of_small_files_stay(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_files, "KEPT_FILES", 2)
    monkeypatch.setattr(kept_files, "KEPT_LARGE", 1)
    for number, name in enumerate(("a", f"{LARGE}a", "b", f"{LARGE}b", "c")):
        write_kept(name, b"body")
        os.utime(cache / name, ns=(number, number))
    write_kept("c", b"body")
    assert sorted(file.name for file in cache.iterdir()) == ["b", "c", f"{LARGE}b"]
