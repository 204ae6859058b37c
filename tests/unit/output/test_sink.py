"""Sinks: every line is written or counted as lost."""

import errno
import io
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from orchestrator.output.sink import OutputLost, Sink


class Stubborn(io.RawIOBase):
    """A stream that takes at most `step` bytes a write, and fails after `room` bytes."""

    def __init__(self, step: int, room: int | None = None) -> None:
        self.taken = b""
        self._step = step
        self._room = room

    def write(self, data: Any, /) -> int:
        left = len(data) if self._room is None else self._room - len(self.taken)
        if left <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        part = bytes(data[: min(self._step, left)])
        self.taken += part
        return len(part)


def test_short_writes_are_completed() -> None:
    """A stream that takes seven bytes at a time gets every byte, once."""
    stream = Stubborn(step=7)
    sink = Sink(stream)
    sink.write(b"one line\nanother line\n", 2)
    assert stream.taken == b"one line\nanother line\n"
    assert (sink.delivered, sink.lost, sink.bytes) == (2, 0, 22)


def test_a_full_disk_is_reported_with_what_was_lost_and_counted() -> None:
    """Whole lines count as delivered, the rest as lost; later writes are lost at once."""
    sink = Sink(Stubborn(step=100, room=20))
    with pytest.raises(OutputLost, match="full") as caught:
        sink.write(b"12345678\n" * 5, 5)
    assert (caught.value.errno, caught.value.records_lost) == (errno.ENOSPC, 3)
    with pytest.raises(OutputLost):
        sink.write(b"more\n", 1)
    assert (sink.delivered, sink.lost) == (2, 4)


def test_a_file_of_ours_does_not_end_in_half_a_line(tmp_path: Path) -> None:
    """A real size limit cuts a write short: the half line is taken back."""
    script = (
        "import resource, signal, sys; from orchestrator.output.sink import Sink, OutputLost\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "sink = Sink(open(sys.argv[1], 'wb', buffering=0), owned=True)\n"
        "try: sink.write(b'123456789012345\\n' * 100, 100)\n"
        "except OutputLost as lost: print(lost.records_lost, sink.delivered)\n"
    )
    path = tmp_path / "events.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["38", "62"]
    assert path.read_bytes() == b"123456789012345\n" * 62


def test_a_pipe_that_does_not_block_is_waited_for() -> None:
    """Standard output may be shared with a program that made it non-blocking."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    lines = b"x" * 99 + b"\n"
    got: list[bytes] = []

    def drain() -> None:
        while part := os.read(reader, 65536):
            got.append(part)

    thread = threading.Thread(target=drain)
    with os.fdopen(writer, "wb") as stream:
        sink = Sink(stream)
        thread.start()
        sink.write(lines * 20_000, 20_000)
    thread.join()
    os.close(reader)
    assert b"".join(got) == lines * 20_000
    assert sink.delivered == 20_000
