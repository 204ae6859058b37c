"""A sink that never waits: what a reader does not take is queued, and counted when it is lost."""

import errno
import io
import os
import pty
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from orchestrator.output import unblocked as module
from orchestrator.output.sink import OutputLost, Sink
from orchestrator.output.unblocked import UnblockedSink, make_log_sink

LINE = b"x" * 99 + b"\n"
Channel = tuple[BinaryIO, Callable[[], bytes]]


def read_of(descriptor: int) -> Callable[[], bytes]:
    """Reads what is there now."""
    os.set_blocking(descriptor, False)

    def read() -> bytes:
        parts: list[bytes] = []
        while True:
            try:
                part = os.read(descriptor, 1 << 16)
            except BlockingIOError:
                part = b""
            if not part:
                return b"".join(parts)
            parts.append(part)

    return read


@pytest.fixture(params=["pipe", "pipe that cannot be opened again", "socket", "terminal"])
def channel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Channel]:
    """A stream, and a function that reads what arrived at its other end."""
    if request.param == "socket":
        ends = socket.socketpair()
        reader, writer = (os.dup(end.fileno()) for end in ends)
        for end in ends:
            end.close()
    elif request.param == "terminal":
        reader, writer = pty.openpty()
    else:
        reader, writer = os.pipe()
    if "cannot" in request.param:
        monkeypatch.setattr(module, "_open_again", lambda _descriptor: None)
    with os.fdopen(writer, "wb", buffering=0) as stream:
        yield stream, read_of(reader)
    os.close(reader)


def filled(stream: BinaryIO) -> UnblockedSink:
    """The sink of a channel whose reader has stopped: its buffer is full."""
    sink = make_log_sink(stream)
    assert isinstance(sink, UnblockedSink)
    for _ in range(10_000):
        sink.write(LINE, 1)
        if sink.congested:
            return sink
    raise AssertionError("it took a megabyte")


def test_every_line_arrives_once_the_reader_goes_on(channel: Channel) -> None:
    stream, read = channel
    sink = filled(stream)
    sink.write(LINE * 1000, 1000)
    written, got = sink.delivered, read()
    while sink.congested:
        sink.push(0.0)
        got += read()
    assert got.replace(b"\r", b"") == LINE * written  # a terminal adds \r
    assert (sink.lost, sink.bytes) == (0, len(LINE) * written)


def test_a_reader_that_takes_nothing_is_not_waited_for_longer_than_asked(channel: Channel) -> None:
    stream, _ = channel
    assert filled(stream).push(0.0) is False


def test_what_is_given_up_is_counted_and_reported_to_its_writer(channel: Channel) -> None:
    stream, read = channel
    sink = filled(stream)
    reported: list[int] = []
    before = sink.delivered
    sink.write(LINE * 7, 7, reported.append)
    sink.give_up()
    arrived = read().count(b"\n")
    assert reported == [7]
    assert (sink.delivered, sink.lost) == (arrived, before + 7 - arrived)
    assert sink.failed == errno.EAGAIN
    with pytest.raises(OutputLost, match="stopped reading"):
        sink.write(LINE, 1)


def test_our_descriptor_is_left_as_others_share_it(channel: Channel) -> None:
    stream, _ = channel
    sink = filled(stream)
    assert os.get_blocking(stream.fileno())
    sink.close()
    assert os.get_blocking(stream.fileno())


def test_the_callers_buffer_may_be_used_again(channel: Channel) -> None:
    stream, read = channel
    sink = filled(stream)
    read()
    buffer = bytearray(b"a" * 99_999 + b"\n")
    sink.write(memoryview(buffer), 1)
    buffer[:] = b"b" * len(buffer)
    got = b""
    while sink.congested:
        sink.push(0.0)
        got += read()
    assert b"b" not in got


def test_a_queue_does_not_grow_without_bound(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, _ = channel
    sink = filled(stream)
    monkeypatch.setattr(UnblockedSink, "most_bytes", 1 << 20)
    sink.write(LINE * 9_000, 9_000)
    with pytest.raises(OutputLost):
        sink.write(LINE * 9_000, 9_000)
    assert sink.lost >= 9_000
    assert not sink.congested


def test_a_reader_that_is_gone_is_noticed_while_lines_wait() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb", buffering=0) as stream:
        sink = filled(stream)
        os.close(reader)
        sink.push(5.0)
        assert sink.failed == errno.EPIPE
        assert not sink.congested


def test_devices_that_take_everything_are_written_as_ever() -> None:
    with Path("/dev/null").open("wb", buffering=0) as file:
        assert type(make_log_sink(file)) is Sink
    with Path("/dev/full").open("wb", buffering=0) as file:
        assert type(make_log_sink(file)) is Sink
    assert type(make_log_sink(io.BytesIO())) is Sink
