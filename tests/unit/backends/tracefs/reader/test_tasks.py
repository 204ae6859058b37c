"""Threads are looked up in /proc while they exist, and then in the kernel's tables."""

import time
from pathlib import Path

import numpy as np
import pytest

from orchestrator.backends.tracefs.reader import tasks as module
from orchestrator.backends.tracefs.reader.tasks import Tasks

STATUS = b"Name:\t%s\nTgid:\t%d\nUid:\t1000\t1001\t0\t0\nGid:\t5\t6\t0\t0\n"


@pytest.fixture
def tasks(tmp_path: Path) -> Tasks:
    """Thread 11 of process 10 exists; 21 of process 20 has exited, and so has 31, which no table
    has."""
    status(tmp_path, 11, b"alive")
    (tmp_path / "saved_cmdlines").write_bytes(b"21 a name\n11 old\nrubbish\n")
    (tmp_path / "saved_tgids").write_bytes(b"21 20\n")
    return Tasks(tmp_path, tmp_path)


def status(proc: Path, tid: int, name: bytes) -> None:
    (proc / str(tid)).mkdir(exist_ok=True)
    (proc / str(tid) / "status").write_bytes(STATUS % (name, tid - 1))


def tids(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int32)


def test_processes_and_names_of_threads(tasks: Tasks) -> None:
    asked = tids(21, 11, 0, 31, 11)
    assert tasks.pids_of(asked).tolist() == [20, 10, 0, 0, 10]
    assert tasks.names_of(asked).tolist() == [b"a name", b"alive", b"<idle>", b"", b"alive"]


def test_users_are_the_effective_ones(tasks: Tasks) -> None:
    assert tasks.users_of(tids(11, 21, 0), group=False).tolist() == [1001, -1, 0]
    assert tasks.users_of(tids(11, 21, 0), group=True).tolist() == [6, -1, 0]


def test_a_name_is_read_again_after_half_a_second(
    tasks: Tasks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """exec changes names; within that time the cache answers."""
    clock = iter([100.0, 100.0, 100.4, 100.6, 100.6])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    tasks.refresh()
    assert tasks.names_of(tids(11)).tolist() == [b"alive"]
    status(tmp_path, 11, b"other")
    tasks.refresh()
    assert tasks.names_of(tids(11)).tolist() == [b"alive"]
    tasks.refresh()
    assert tasks.names_of(tids(11)).tolist() == [b"other"]


def test_what_is_known_of_a_thread_stays_known_after_its_end(
    tasks: Tasks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tasks.pids_of(tids(11)).tolist() == [10]
    (tmp_path / "11" / "status").unlink()
    (tmp_path / "saved_cmdlines").unlink()
    monkeypatch.setattr(module, "_FRESH_S", -1.0)
    tasks.refresh()
    assert tasks.pids_of(tids(11)).tolist() == [10]
    assert tasks.names_of(tids(11)).tolist() == [b"alive"]


def test_escaped_names_are_as_the_kernel_has_them(tasks: Tasks, tmp_path: Path) -> None:
    """And never longer than a name can be."""
    status(tmp_path, 41, rb"a\nb\\c")
    assert tasks.names_of(tids(41)).tolist() == [b"a\nb\\c"]


def test_a_full_cache_is_filled_again(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, and the idle thread keeps its name."""
    monkeypatch.setattr(module, "_KEPT", 1)
    monkeypatch.setattr(module, "_FRESH_S", 1000.0)
    tasks.refresh()
    assert tasks.names_of(tids(11, 0)).tolist() == [b"alive", b"<idle>"]
    tasks.refresh()
    assert tasks.names_of(tids(11, 0)).tolist() == [b"alive", b"<idle>"]
