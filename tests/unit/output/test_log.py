"""The lifecycle log and the streams it goes to."""

import errno
import io
import json
import os
import subprocess
import sys
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
    """What is queued before the first flush comes out first, stamped when it was written."""
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


def test_queueing_imports_nothing_heavy() -> None:
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


def test_stamps_are_rfc_3339_with_nanoseconds() -> None:
    """UTC, nine decimals."""
    assert format_timestamp(1_795_400_107_000_000_009) == "2026-11-23T02:15:07.000000009Z"
