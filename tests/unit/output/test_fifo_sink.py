"""A FIFO as the log: without a reader, with one that ends, and with one that comes back."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.output import fifo_sink as module
from orchestrator.output.fifo_sink import FifoSink
from orchestrator.output.safe_open import is_fifo, open_fifo

LINE = b"x" * 99 + b"\n"
LONG = b"y" * 200_000 + b"\n"  # more than a pipe takes: it is cut


@pytest.fixture
def fifo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "_LOOK_S", 0.0)  # a reader is looked for at each write
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


@contextmanager
def reader_of(fifo: Path) -> Iterator[int]:
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield reader
    finally:
        os.close(reader)


def read_now(reader: int) -> bytes:
    parts: list[bytes] = []
    while True:
        try:
            part = os.read(reader, 1 << 20)
        except BlockingIOError:
            part = b""
        if not part:
            return b"".join(parts)
        parts.append(part)


def read_until_empty(sink: FifoSink, reader: int) -> bytes:
    got = read_now(reader)
    while sink.congested:
        sink.push(0.0)
        got += read_now(reader)
    return got


def counts(sink: FifoSink) -> tuple[int, int]:
    return sink.delivered, sink.unread


def test_without_a_reader_nothing_waits_and_all_is_counted(fifo: Path) -> None:
    sink = FifoSink(str(fifo))
    lost: list[int] = []
    assert not sink.has_reader
    sink.write(LINE * 3, 3, lost.append)
    sink.write(LINE, 1, lost.append)
    assert (counts(sink), lost, sink.failed, sink.congested) == ((0, 4), [3, 1], None, False)


def test_a_reader_that_comes_later_gets_what_is_written_from_then_on(fifo: Path) -> None:
    sink = FifoSink(str(fifo))
    sink.write(LINE, 1)
    with reader_of(fifo) as reader:
        sink.write(b"now\n", 1)
        assert read_now(reader) == b"now\n"
    assert counts(sink) == (1, 1)


def test_a_reader_that_ends_is_no_failure_and_the_next_one_goes_on(fifo: Path) -> None:
    with reader_of(fifo) as reader:
        sink = FifoSink(str(fifo))
        sink.write(b"first\n", 1)
        assert read_now(reader) == b"first\n"
    sink.write(LINE * 5, 5)
    assert (sink.usable, counts(sink)) == (True, (1, 5))
    with reader_of(fifo) as reader:
        sink.write(b"again\n", 1)
        assert read_now(reader) == b"again\n"
    assert counts(sink) == (2, 5)


def test_the_next_reader_gets_whole_lines(fifo: Path) -> None:
    """The pipe keeps what the last reader did not take, which may end within a line."""
    with reader_of(fifo):
        sink = FifoSink(str(fifo))
        sink.write(LONG, 1)
        sink.write(LINE * 2, 2)
        assert sink.congested
    sink.write(LINE, 1)
    assert counts(sink) == (0, 4)
    with reader_of(fifo) as reader:
        got = b""
        while not got.endswith(b"after\n"):
            sink.write(b"after\n", 1)
            got += read_until_empty(sink, reader)
    lines = got.splitlines(keepends=True)
    assert lines[0] == LONG
    assert set(lines[1:]) == {b"after\n"}


def test_a_fifo_that_was_made_again_is_found(fifo: Path) -> None:
    """As systemd does when its socket unit is stopped and started."""
    with reader_of(fifo):
        sink = FifoSink(str(fifo))
    fifo.unlink()
    sink.write(LINE, 1)
    os.mkfifo(fifo)
    with reader_of(fifo) as reader:
        sink.write(b"new\n", 1)
        assert read_now(reader) == b"new\n"
    assert counts(sink) == (1, 1)


def test_half_a_line_in_the_old_pipe_is_not_ended_in_the_new_one(fifo: Path) -> None:
    with reader_of(fifo):
        sink = FifoSink(str(fifo))
        sink.write(LONG, 1)
    sink.write(LINE, 1)
    fifo.unlink()
    os.mkfifo(fifo)
    with reader_of(fifo) as reader:
        sink.write(b"new\n", 1)
        assert read_now(reader) == b"new\n"


def test_a_missing_fifo_is_never_made_as_a_file(fifo: Path) -> None:
    sink = FifoSink(str(fifo))
    fifo.unlink()
    sink.write(LINE, 1)
    assert not fifo.exists()
    fifo.write_text("")
    sink.write(LINE, 1)
    assert (fifo.read_text(), counts(sink)) == ("", (0, 2))


def test_a_reader_that_stops_holds_up_nothing_and_memory_is_bounded(
    fifo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FifoSink, "most_bytes", 100_000)
    with reader_of(fifo) as reader:
        sink = FifoSink(str(fifo))
        for _ in range(10_000):
            sink.write(LINE, 1)
            assert sum(len(chunk.rest) for chunk in sink._queue) <= 100_000
        assert sink.congested
        assert not sink.throttles
        whole = read_until_empty(sink, reader).count(b"\n")
    assert sum(counts(sink)) == 10_000
    assert 0 <= whole - sink.delivered <= sink.unread  # cut lines count as lost, and arrive


def test_what_is_given_up_at_the_end_is_no_failure(fifo: Path) -> None:
    with reader_of(fifo):
        sink = FifoSink(str(fifo))
        sink.write(LINE * 10_000, 10_000)
        assert sink.congested
        sink.give_up()
    assert (sink.failed, sink.congested, sum(counts(sink))) == (None, False, 10_000)
    sink.close()


def test_only_a_fifo_with_a_name_is_one(fifo: Path) -> None:
    (fifo.parent / "link").symlink_to(fifo)
    (fifo.parent / "file").write_text("")
    ends = os.pipe()
    paths = {"fifo": fifo, "link": fifo.parent / "link", "file": fifo.parent / "file"}
    paths |= {"nothing": fifo.parent / "nothing", "pipe": Path(f"/dev/fd/{ends[1]}")}
    found = {name: is_fifo(path) for name, path in paths.items()}
    assert found == {"fifo": True, "link": True, "file": False, "nothing": False, "pipe": False}
    for end in ends:
        os.close(end)


def test_what_is_no_fifo_is_not_opened_as_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(OSError, match="not a FIFO") as caught:
        open_fifo(tmp_path / "file")
    assert caught.value.errno == errno.EINVAL
