"""Lines of a log from a stream: cut, bounded and parsed. What is no line of a log is counted."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from orchestrator.output.json_codec import decode_json

__all__ = ["MOST_LINE_BYTES", "LineParser", "LogLine"]

#: The longest line that is read, such as a metric with very many cells.
MOST_LINE_BYTES = 16 << 20
#: In the first fields of each line, of which no value has quotes in it.
_EVENT, _HEAD_BYTES = b'"event.recorded"', 160


class LogLine(NamedTuple):
    """A line without its end, and the record in it; None: it is one of an event, which is not
    parsed."""

    text: bytes
    record: Mapping[str, Any] | None


class LineParser:
    """Cuts a stream into lines. `skipped` is called with `torn` for what is no JSON object, and
    with `long` for what is longer than `most` bytes, of which no more than that is held; `passed`
    with the number of records of events, which are in no other way there unless `with_events`."""

    def __init__(
        self,
        skipped: Callable[[str], None],
        passed: Callable[[int], None] = lambda _count: None,
        *,
        with_events: bool = False,
        most: int = MOST_LINE_BYTES,
    ) -> None:
        self._skipped, self._passed = skipped, passed
        self._with_events, self._most = with_events, most
        self._begun = bytearray()
        self._is_long = False

    def feed(self, chunk: bytes) -> Iterator[LogLine]:
        """The lines that are whole with these bytes."""
        *lines, rest = chunk.split(b"\n")
        events = 0
        for line in lines:
            whole = self._finish(line)
            if whole is None:
                self._skipped("long")
            elif whole.find(_EVENT, 0, _HEAD_BYTES) >= 0:
                events += 1
                if self._with_events:
                    yield LogLine(whole, None)
            else:
                yield from self._parse(whole)
        if events:
            self._passed(events)
        self._begin(rest)

    def end(self) -> None:
        """The stream is over: a line without an end is torn."""
        if self._is_long or self._begun:
            self._skipped("long" if self._is_long else "torn")
        self._begun, self._is_long = bytearray(), False

    def _begin(self, part: bytes) -> None:
        if self._is_long or len(self._begun) + len(part) > self._most:
            self._begun, self._is_long = bytearray(), True
        else:
            self._begun += part

    def _finish(self, part: bytes) -> bytes | None:
        """The line that ends with this part; None: it is too long."""
        if not self._begun and not self._is_long:
            return part if len(part) <= self._most else None
        self._begin(part)
        whole = None if self._is_long else bytes(self._begun)
        self._begun, self._is_long = bytearray(), False
        return whole

    def _parse(self, line: bytes) -> Iterator[LogLine]:
        try:
            record = decode_json(line)
        except ValueError:
            record = None
        if isinstance(record, dict):
            yield LogLine(line, record)
        elif line.strip():
            self._skipped("torn")
