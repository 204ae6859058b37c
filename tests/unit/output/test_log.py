"""The lifecycle log and the streams it goes to."""

import errno
import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from orchestrator.output.log import Log, OutputLost, format_timestamp
from orchestrator.output.sink import Sink
from tests.support.records import COMMON
from tests.support.samples import finished, lifecycle
from tests.unit.output.json_lines.test_lines import VALIDATOR


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


def records(stream: io.BytesIO | Stubborn) -> list[dict[str, Any]]:
    """What is in a stream, a record a line."""
    text = stream.taken if isinstance(stream, Stubborn) else stream.getvalue()
    return [json.loads(line) for line in text.splitlines()]


def test_every_kind_of_record_is_as_the_schema_says() -> None:
    """Common fields first and in order, then the record's own, all valid."""
    stream = io.BytesIO()
    log = Log(Sink(stream), COMMON)
    log.flush()
    for event, fields in lifecycle().items():
        log.write(event, "warning", **fields)
    for record, (event, fields) in zip(records(stream), lifecycle().items(), strict=True):
        VALIDATOR.validate(record)
        assert list(record)[:8] == ["ts", "level", "event", *COMMON]
        assert record["event"] == event
        assert record["level"] == "warning"
        assert record | fields == record


def test_records_wait_for_flush_and_keep_their_order_and_time() -> None:
    """What is queued before structlog is there comes out first, stamped when it was written."""
    stream = io.BytesIO()
    log = Log(Sink(stream), COMMON)
    for number in range(3):
        log.write("events.lost", lost=number)
    assert stream.getvalue() == b""
    log.flush()
    log.write("events.lost", lost=3)
    out = records(stream)
    assert [record["lost"] for record in out] == [0, 1, 2, 3]
    assert sorted(record["ts"] for record in out) == [record["ts"] for record in out]


def test_queueing_imports_neither_structlog_nor_numpy() -> None:
    """Start-up does not pay for what comes later."""
    script = (
        "import io, sys; from orchestrator.output.log import Log; "
        "from orchestrator.output.sink import Sink; import orchestrator.output.terminal.progress; "
        "import orchestrator.output.terminal.summary, orchestrator.output.result; "
        "Log(Sink(io.BytesIO()), {}).write('run.started'); "
        "print(*{'structlog', 'numpy', 'orjson', 'rich'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "\n"


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


def test_a_closed_pipe_is_epipe_and_queued_records_are_counted() -> None:
    """`probeplan run … | head -1` ends in an OutputLost, with all that was queued lost."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as stream:
        sink = Sink(stream)
        log = Log(sink, COMMON)
        for _ in range(3):
            log.write("run.finished", **finished())
        with pytest.raises(OutputLost, match=r"3 records.*closed it") as caught:
            log.flush()
    assert (caught.value.errno, caught.value.records_lost) == (errno.EPIPE, 3)
    assert (sink.delivered, sink.lost) == (0, 3)


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


def test_stamps_are_rfc_3339_with_nanoseconds() -> None:
    """UTC, nine decimals."""
    assert format_timestamp(1_795_400_107_000_000_009) == "2026-11-23T02:15:07.000000009Z"
