"""A file whose file system does not answer holds up nothing; what is written is counted exactly."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import pytest

from orchestrator.output import file_writer as module
from orchestrator.output.sink import OutputLost, Sink
from orchestrator.output.unblocked import UnblockedSink, make_log_sink

LINE = b"x" * 99 + b"\n"


@pytest.fixture
def file(tmp_path: Path) -> Iterator[BinaryIO]:
    with (tmp_path / "log").open("wb", buffering=0) as stream:
        yield stream


def content(file: BinaryIO) -> bytes:
    return Path(f"/proc/self/fd/{file.fileno()}").read_bytes()


def replace_write(monkeypatch: pytest.MonkeyPatch, write: Callable[[int, bytes], int]) -> None:
    """Of the module under test alone."""
    monkeypatch.setattr(module, "os", SimpleNamespace(**{**vars(os), "write": write}))


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """write(2) does not return before this is set."""
    thawed, write = threading.Event(), os.write

    def wait_and_write(descriptor: int, data: bytes) -> int:
        thawed.wait(60)
        return write(descriptor, data)

    replace_write(monkeypatch, wait_and_write)
    yield thawed
    thawed.set()


def pushed(sink: Sink) -> None:
    """Wait until nothing waits any more."""
    while sink.congested:
        sink.push(10.0)


def test_lines_are_in_the_file_when_write_returns(file: BinaryIO) -> None:
    sink = make_log_sink(file)
    for _ in range(10):
        sink.write(LINE * 3, 3)
    pushed(sink)  # only on a machine that is very slow
    sink.close()
    assert content(file) == LINE * 30
    assert (sink.delivered, sink.lost, sink.bytes) == (30, 0, 3000)


def test_a_frozen_file_system_is_not_waited_for_and_gets_every_line_once_it_goes_on(
    file: BinaryIO, frozen: threading.Event
) -> None:
    sink = make_log_sink(file)
    assert isinstance(sink, UnblockedSink)
    for _ in range(1000):
        sink.write(LINE * 3, 3)
    assert sink.congested
    assert sink.push(0.0) is False
    assert content(file) == b""
    frozen.set()
    pushed(sink)
    assert content(file) == LINE * 3000
    assert (sink.delivered, sink.lost, sink.bytes) == (3000, 0, len(LINE) * 3000)


def test_what_a_frozen_file_system_did_not_take_is_given_up_with_the_reason(
    file: BinaryIO, frozen: threading.Event
) -> None:
    sink, reported = make_log_sink(file), list[int]()
    sink.write(LINE, 1, reported.append)
    sink.write(LINE * 7, 7, reported.append)
    sink.give_up()
    sink.close()
    assert reported == [1, 7]
    assert (sink.delivered, sink.lost) == (0, 8)
    with pytest.raises(OutputLost, match="its file system does not answer"):
        sink.write(LINE, 1)
    frozen.set()


@pytest.mark.parametrize("owned", [True, False])
def test_a_full_disk_leaves_whole_lines_in_a_file_that_is_ours(
    file: BinaryIO, monkeypatch: pytest.MonkeyPatch, owned: bool
) -> None:
    room, write = [250], os.write

    def write_what_fits(descriptor: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "full")
        taken = write(descriptor, data[: room[0]])
        room[0] -= taken
        return taken

    replace_write(monkeypatch, write_what_fits)
    sink, reported = make_log_sink(file, owned=owned), list[int]()
    sink.write(LINE, 1, reported.append)
    sink.write(LINE * 5, 5, reported.append)
    pushed(sink)
    assert sink.failed == errno.ENOSPC
    assert (sink.delivered, sink.lost, reported) == (2, 4, [4])
    assert content(file) == (LINE * 2 if owned else LINE * 2 + LINE[:50])


def test_without_a_thread_the_file_is_written_as_well_as_it_can_be(
    file: BinaryIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    sink = make_log_sink(file)
    sink.write(LINE * 3, 3)
    sink.close()
    sink.close()
    assert content(file) == LINE * 3


def test_what_was_opened_is_closed_and_the_callers_descriptor_is_not(file: BinaryIO) -> None:
    before, others = set(Path("/proc/self/fd").iterdir()), threading.enumerate()
    for _ in range(20):
        sink = make_log_sink(file)
        sink.write(LINE, 1)
        pushed(sink)
        sink.close()
    for thread in set(threading.enumerate()).difference(others):
        thread.join(10)
    assert set(Path("/proc/self/fd").iterdir()) == before
    assert file.write(b"y") == 1
