"""Files of a live system and of a recording, read alike."""

import errno
from pathlib import Path

import pytest

from orchestrator.kernel.tree import (
    LiveTree,
    RecordedTree,
    Tree,
    cpu_list,
    read_text,
    tracing_path,
)

FILES = {"sys/kernel/tracing/events/enable": b"0\n", "proc/version": b"Linux\n"}


@pytest.fixture(params=["live", "recorded"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    """The same files in both kinds."""
    if request.param == "recorded":
        return RecordedTree(FILES)
    for path, content in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    return LiveTree(tmp_path)


def test_both_kinds_answer_alike(tree: Tree) -> None:
    """Contents, names, existence, and what is missing."""
    assert tree.read("proc/version") == b"Linux\n"
    assert read_text(tree, "proc/version") == "Linux"
    assert tree.names("sys/kernel") == ("tracing",)
    assert tree.names("nothing") == ()
    assert tree.exists("sys/kernel/tracing")
    assert not tree.exists("sys/kernel/tracin")
    assert tracing_path(tree) == "sys/kernel/tracing"
    with pytest.raises(FileNotFoundError):
        tree.read("proc/nothing")


def test_a_recording_fails_as_the_host_did() -> None:
    """The errno that reading gave is kept in place of the file."""
    closed = RecordedTree({"proc/kallsyms": errno.EACCES})
    with pytest.raises(PermissionError):
        closed.read("proc/kallsyms")
    assert read_text(closed, "proc/kallsyms") is None


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("0-3,8", (0, 1, 2, 3, 8)), ("0", (0,)), ("", ()), ("x,2", (2,)), ("3-1", ())],
)
def test_cpu_lists(text: str, cpus: tuple[int, ...]) -> None:
    """What a damaged recording may have is left out."""
    assert cpu_list(text + "\n") == cpus


def test_a_huge_range_of_cpus_does_not_fill_memory() -> None:
    """No kernel has more than 8192."""
    assert len(cpu_list("0-999999")) == (1 << 16) + 1
