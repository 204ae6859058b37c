"""Which results stay on a host: the bounds, the order, and what is never removed."""

import fcntl
import json
import os
import time
from pathlib import Path

import pytest

from orchestrator.plan.units import UnitError
from orchestrator.run.unattended import kept_run, result_pruning
from orchestrator.run.unattended.result_pruning import Keep, prune_results, read_keep
from orchestrator.run.unattended.result_store import ResultStore
from tests.support.folders import names_in

BLOCK = 4096
NOW = time.time_ns()
SECOND = 10**9


def fill(path: Path, age_s: float, blocks: int = 1, outcome: str = "duration") -> Path:
    """A whole result of so many blocks, written so long ago."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = json.dumps({"run": {"outcome": outcome}}).encode()
    (path / "result.json").write_bytes(text)
    if blocks > 1:
        (path / "events.jsonl").write_bytes(b"\n" * (blocks - 1) * BLOCK)
    set_age(path / "result.json", age_s)
    return path


def set_age(path: Path, age_s: float) -> None:
    written = NOW - int(age_s * SECOND)
    os.utime(path, ns=(written, written))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "lib" / "results"


def names(root: Path) -> list[str]:
    return names_in(root / "plan")


@pytest.mark.parametrize(
    ("text", "keep"),
    [
        ("20", Keep(runs=20, bytes=None)),
        ("20,200MiB", Keep(runs=20, bytes=200 << 20)),
        ("1,1GiB", Keep(runs=1, bytes=1 << 30)),
    ],
)
def test_bounds_are_read_and_written_alike(text: str, keep: Keep) -> None:
    assert read_keep(text) == keep
    assert str(keep) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", "''"),
        ("0", "'0'"),
        ("-1", "'-1'"),
        ("20,", "''"),
        ("20,200MB", "'200MB'"),
        ("20,200", "'200'"),
        ("20,1KiB", "'1KiB'"),
        ("20;200MiB", "'20;200MiB'"),
        ("many", "'many'"),
        ("20,1MiB,2", "'1MiB,2'"),
    ],
)
def test_bounds_that_cannot_be_are_refused_by_value(text: str, value: str) -> None:
    with pytest.raises(UnitError) as refused:
        read_keep(text)
    assert value in str(refused.value)
    assert "20,200MiB" in refused.value.hint


def test_the_oldest_go_beyond_the_number(root: Path) -> None:
    for number in range(6):
        fill(root / "plan" / f"r{number}", age_s=100 - number)
    fill(root / "other" / "r9", age_s=1000)
    pruned = prune_results(root / "plan", Keep(runs=4, bytes=None))
    assert pruned.removed == (root / "plan" / "r0", root / "plan" / "r1")
    assert pruned.failed == ()
    assert names(root) == ["r2", "r3", "r4", "r5"]
    assert names_in(root / "other") == ["r9"]


def test_the_oldest_go_beyond_the_size(root: Path) -> None:
    """Of 10 blocks in runs of 1, 2, 3 and 4, the first two have to go for 8."""
    for number in range(4):
        fill(root / "plan" / f"r{number}", age_s=100 - number, blocks=number + 1)
    assert prune_results(root / "plan", Keep(runs=9, bytes=10 * BLOCK)).removed == ()
    prune_results(root / "plan", Keep(runs=9, bytes=8 * BLOCK))
    assert names(root) == ["r2", "r3"]


def test_what_the_number_removes_is_not_counted_for_the_size(root: Path) -> None:
    for number in range(4):
        fill(root / "plan" / f"r{number}", age_s=100 - number, blocks=2)
    prune_results(root / "plan", Keep(runs=3, bytes=6 * BLOCK))
    assert names(root) == ["r1", "r2", "r3"]


def test_the_newest_whole_result_stays_whatever_its_size_and_whatever_follows(root: Path) -> None:
    fill(root / "plan" / "whole", age_s=50, blocks=100)
    for number in range(3):  # killed, or the disk was full
        (root / "plan" / f"torn{number}").mkdir()
        (root / "plan" / f"torn{number}" / "plan.yaml").touch()
        set_age(root / "plan" / f"torn{number}", 10 - number)
    pruned = prune_results(root / "plan", Keep(runs=1, bytes=BLOCK))
    assert "whole" in names(root)
    assert root / "plan" / "whole" not in pruned.removed


def test_an_empty_result_is_not_whole(root: Path) -> None:
    fill(root / "plan" / "whole", age_s=50)
    fill(root / "plan" / "empty", age_s=10)
    (root / "plan" / "empty" / "result.json").write_bytes(b"")
    set_age(root / "plan" / "empty" / "result.json", 10)
    prune_results(root / "plan", Keep(runs=1, bytes=None))
    assert "whole" in names(root)


def test_a_run_that_goes_on_stays(root: Path) -> None:
    """By its lock, also one of another process; one that only looks is none."""
    keep = Keep(runs=1, bytes=None)
    for number in range(5):
        fill(root / "plan" / f"r{number}", age_s=100 - number)
    locked = os.open(root / "plan" / "r0", os.O_RDONLY)
    fcntl.flock(locked, fcntl.LOCK_EX)
    looking = os.open(root / "plan" / "r1", os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    prune_results(root / "plan", keep)
    assert names(root) == ["r0", "r4"]
    os.close(locked)
    os.close(looking)
    running = ResultStore(root)
    running.make_run("plan", "r5")
    set_age(root / "plan" / "r5", 1000)
    (root / "plan" / "r6").mkdir(mode=0o700)  # of a run that was killed
    prune_results(root / "plan", keep)
    assert names(root) == ["r4", "r5", "r6"]
    running.close()
    prune_results(root / "plan", keep)
    assert names(root) == ["r4", "r6"]


def test_what_is_no_result_of_ours_is_left_alone_and_not_counted(root: Path) -> None:
    fill(root / "plan" / "r0", age_s=100)
    fill(root / "plan" / "r1", age_s=50)
    fill(root / "plan" / "notes", age_s=1000)
    (root / "plan" / "notes" / "todo.txt").touch()
    (root / "plan" / "file").touch()
    (root / "plan" / "nested" / "result.json").mkdir(parents=True)
    outside = fill(root / "outside", age_s=1000)
    (root / "plan" / "link").symlink_to(outside)
    prune_results(root / "plan", Keep(runs=2, bytes=None))
    assert names(root) == ["file", "link", "nested", "notes", "r0", "r1"]
    prune_results(root / "plan", Keep(runs=1, bytes=None))
    assert names(root) == ["file", "link", "nested", "notes", "r1"]
    assert (outside / "result.json").exists()


@pytest.mark.root
def test_the_directory_of_another_user_is_none_of_ours(root: Path) -> None:
    for number in range(3):
        fill(root / "plan" / f"r{number}", age_s=100 - number)
    os.chown(root / "plan" / "r0", 1234, 1234)
    prune_results(root / "plan", Keep(runs=1, bytes=None))
    assert names(root) == ["r0", "r2"]


def test_runs_that_were_not_made_push_out_none_that_was(root: Path) -> None:
    """A timer on a host outside the shard leaves a result of a skipped run each time."""
    fill(root / "plan" / "made", age_s=1000)
    for number in range(5):
        fill(root / "plan" / f"s{number}", age_s=100 - number, outcome="skipped")
    fill(root / "plan" / "q", age_s=1, outcome="quarantined")
    prune_results(root / "plan", Keep(runs=2, bytes=None))
    assert names(root) == ["made", "q", "s4"]
    prune_results(root / "plan", Keep(runs=1, bytes=BLOCK))
    assert names(root) == ["made"]


def test_runs_without_a_result_push_out_none_that_is_whole(root: Path) -> None:
    """A disk that is full for a day, with a timer."""
    for number in range(3):
        fill(root / "plan" / f"whole{number}", age_s=100 - number)
        (root / "plan" / f"torn{number}").mkdir()
        set_age(root / "plan" / f"torn{number}", 10 - number)
    prune_results(root / "plan", Keep(runs=2, bytes=None))
    assert names(root) == ["torn1", "torn2", "whole1", "whole2"]


def test_a_result_of_later_than_now_is_the_oldest(root: Path) -> None:
    """The clock was set back: what is made now must not go before what was made then."""
    fill(root / "plan" / "future", age_s=-1000)
    fill(root / "plan" / "r0", age_s=100)
    fill(root / "plan" / "r1", age_s=50)
    prune_results(root / "plan", Keep(runs=2, bytes=None))
    assert names(root) == ["r0", "r1"]


def test_what_cannot_be_removed_is_reported_and_the_rest_is_removed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        fill(root / "plan" / f"r{number}", age_s=100 - number)

    def remove(parent: int, name: str) -> None:
        if name == "r0":
            raise OSError(30, "Read-only file system")
        kept_run.remove_run(parent, name)

    monkeypatch.setattr(result_pruning, "remove_run", remove)
    pruned = prune_results(root / "plan", Keep(runs=1, bytes=None))
    assert pruned.failed == ((root / "plan" / "r0", "Read-only file system"),)
    assert pruned.removed == (root / "plan" / "r1", root / "plan" / "r2")
    assert names(root) == ["r0", "r3"]


def test_a_kill_while_removing_leaves_nothing_that_looks_whole(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        fill(root / "plan" / f"r{number}", age_s=100 - number, blocks=3)
    removed: list[str] = []
    unlink = os.unlink
    monkeypatch.setattr(
        os, "unlink", lambda name, dir_fd: (removed.append(name), unlink(name, dir_fd=dir_fd))
    )
    prune_results(root / "plan", Keep(runs=1, bytes=None))
    assert removed == ["result.json", "events.jsonl"]


def test_there_is_nothing_to_prune_before_the_first_run(root: Path) -> None:
    assert prune_results(root / "plan", Keep(runs=1, bytes=None)).removed == ()
