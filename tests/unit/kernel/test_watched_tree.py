"""A tree remembers what was seen of it, and says whether that still holds."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.kernel.tree import LARGE, WatchedTree, is_unchanged


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/format").write_text("ID: 1")
    (tmp_path / "large").write_bytes(bytes(LARGE + 1))
    return tmp_path


def look_around(root: Path) -> WatchedTree:
    """A tree of which something of each kind was looked at."""
    tree = WatchedTree(root)
    tree.read("a/format")
    tree.read("large")
    with pytest.raises(FileNotFoundError):
        tree.read("a/id")
    tree.names("a")
    tree.names("nowhere")
    tree.exists("a/enable")
    return tree


def test_what_was_seen_holds_while_nothing_changes(root: Path) -> None:
    tree = look_around(root)
    assert [look[:2] for look in tree.looks] == [
        ("read", "a/format"),
        ("read", "a/id"),
        ("names", "a"),
        ("names", "nowhere"),
        ("exists", "a/enable"),
    ]
    assert tree.large == {"large"}
    assert is_unchanged(root, tree.looks)


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "a/format").write_text("ID: 2"),
        lambda root: (root / "a/format").write_bytes(bytes(LARGE + 1)),
        lambda root: (root / "a/format").unlink(),
        lambda root: (root / "a/id").touch(),
        lambda root: (root / "a/other").touch(),
        lambda root: (root / "nowhere").mkdir() or (root / "nowhere/x").touch(),
        lambda root: (root / "a/enable").touch(),
    ],
)
def test_any_change_of_it_is_found(root: Path, change: Callable[[Path], object]) -> None:
    tree = look_around(root)
    change(root)
    assert not is_unchanged(root, tree.looks)
