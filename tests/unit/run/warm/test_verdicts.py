"""Verdicts about plans are kept, and used only while nothing that they depend on has changed."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.kernel.tree import LARGE, WatchedTree
from orchestrator.run.warm import verdicts
from orchestrator.run.warm.verdicts import KeptVerdicts

YES = {"backend": "bcc", "reason": "", "findings": []}


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The cache directory, as a mapping."""
    kept: dict[str, bytes] = {}
    monkeypatch.setattr(verdicts, "read_kept", kept.get)
    monkeypatch.setattr(verdicts, "write_kept", kept.__setitem__)
    return kept


def keep_after_looking(path: Path, policies: tuple = ()) -> None:
    tree = WatchedTree(Path("/"))
    tree.read(str(path)[1:])
    kept = KeptVerdicts(SimpleNamespace(tree=tree), policies)
    kept.add("plan1", YES)
    kept.keep()


def recall(digest: str = "plan1", policies: tuple = ()):
    return KeptVerdicts(SimpleNamespace(tree=WatchedTree(Path("/"))), policies).recall(digest)


def test_what_was_added_is_there_the_next_time(files: dict, tmp_path: Path) -> None:
    (tmp_path / "format").write_text("field: int pid;")
    keep_after_looking(tmp_path / "format")
    assert recall() == YES
    assert recall("plan2") is None


def test_nothing_is_used_once_a_file_that_was_looked_at_differs(
    files: dict, tmp_path: Path
) -> None:
    (tmp_path / "format").write_text("field: int pid;")
    keep_after_looking(tmp_path / "format")
    (tmp_path / "format").write_text("field: long pid;")
    assert recall() is None


def test_what_was_looked_at_earlier_still_counts_after_an_addition(
    files: dict, tmp_path: Path
) -> None:
    (tmp_path / "first").write_text("1")
    (tmp_path / "second").write_text("2")
    keep_after_looking(tmp_path / "first")
    keep_after_looking(tmp_path / "second")
    (tmp_path / "first").write_text("changed")
    assert recall() is None


def test_another_policy_has_other_verdicts(files: dict, tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    keep_after_looking(tmp_path / "x", (("/etc/probeplan/policy.yaml", b"kind: Policy"),))
    assert recall() is None


def test_nothing_is_kept_where_a_large_file_was_read_that_may_change(
    files: dict, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(bytes(LARGE + 1))
    keep_after_looking(tmp_path / "large")
    assert files == {}


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'{"looks": [["run", "x", 1]]}', b"\xff"])
def test_a_damaged_file_is_as_none(body: bytes, files: dict, tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    keep_after_looking(tmp_path / "x")
    [name] = files
    files[name] = body
    assert recall() is None


def test_without_additions_nothing_is_written(files: dict) -> None:
    KeptVerdicts(SimpleNamespace(tree=WatchedTree(Path("/"))), ()).keep()
    assert files == {}


def test_what_is_kept_is_json_without_what_is_of_this_process(files: dict) -> None:
    tree = WatchedTree(Path("/"))
    tree.read("proc/self/comm")
    kept = KeptVerdicts(SimpleNamespace(tree=tree), ())
    kept.add("plan1", YES)
    kept.keep()
    [body] = files.values()
    assert json.loads(body) == {"looks": [], "verdicts": {"plan1": YES}}
