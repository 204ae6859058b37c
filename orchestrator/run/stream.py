"""From records of the kernel to lines: read, trim, render, write, count. Imports numpy."""

from collections import deque
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from orchestrator.backends.protocol import Session
from orchestrator.compile.program import RECORD_HEADER, Program
from orchestrator.output.json_lines.lines import RecordRenderer
from orchestrator.output.json_lines.stack_numbers import StackColumns
from orchestrator.output.run_output import RunOutput
from orchestrator.output.wall_clock import WallClock
from orchestrator.run.report.ledger import Delivery
from orchestrator.run.stacks import Stacks

__all__ = ["Stream"]

_EMIT = next(offset for name, _, offset in RECORD_HEADER if name == "emit")
_ROWS = 4096  # rendered at once
#: Bytes of records that are held for the reader of the output; beyond it they stay in the kernel's
#: buffers. Reading goes on until then, since only what was read counts against a cap in user space.
#: Records with stacks are not held while the run goes on: their stacks are written when they are
#: read, which would fill the output's queue.
_MOST_HELD = 8 << 20
_WORTH_A_RECORD_NS = 100_000_000  # smaller steps of the clock are followed silently


class Stream:
    """The event records of one run.

    `constants`: the fields of every event line. `clock`: followed at every read. `full`:
    limits.output is reached; later records are read and counted, but not written.
    """

    def __init__(  # noqa: PLR0913  # where records come from, and all that makes them lines
        self,
        session: Session,
        program: Program,
        output: RunOutput,
        constants: Mapping[str, str],
        stacks: Stacks,
        clock: WallClock,
    ) -> None:
        self._session, self._stacks, self._clock = session, stacks, clock
        self._output = output
        self._room = program.limits.events
        self._bytes = program.limits.output
        self._renderer = RecordRenderer(program.emits, constants, clock.offset_ns, stacks.names)
        self._columns = StackColumns(program.emits)
        kinds = max((emit.index for emit in program.emits), default=-1) + 1
        self._delivered, self._trimmed, self._undelivered = np.zeros((3, kinds), dtype=np.int64)
        self._held: deque[NDArray[np.uint8]] = deque()
        self._held_bytes = 0
        self.full = False
        self.clock_steps = 0

    @property
    def delivered(self) -> int:
        """Records written so far."""
        return int(self._delivered.sum())

    def deliveries(self) -> dict[int, Delivery]:
        """What became of the records of each Emit, by its index. Those that wait for the reader of
        the output count as delivered until they are given up."""
        waiting = np.zeros_like(self._delivered)
        for records in self._held:
            self._count(waiting, records)
        counts = zip(self._delivered + waiting, self._trimmed, self._undelivered, strict=True)
        return {
            index: Delivery(
                delivered=int(delivered), trimmed=int(trimmed), undelivered=int(undelivered)
            )
            for index, (delivered, trimmed, undelivered) in enumerate(counts)
        }

    def drain(self) -> int:
        """Read and write the records that are there, as long as the output takes them, or what it
        did not take is little; returns the number that was read."""
        self.write_held()
        self._output.tick()
        most = 0 if self._columns.are_there else _MOST_HELD
        return 0 if self._output.throttles and self._held_bytes >= most else self._read()

    def read_all(self) -> int:
        """Read all records that are there, whether the output takes them or not, and return their
        number. What it does not take is held, which costs no more memory than the kernel's buffers
        have."""
        total = 0
        while count := self._read():
            total += count
        return total

    def write_held(self) -> None:
        """Write held records, as long as the output takes them."""
        while self._held and not self._output.throttles:
            records = self._held.popleft()
            self._held_bytes -= records.nbytes
            self._write(records)

    def _read(self) -> int:
        batches = self._session.read()
        self._follow_clock()
        try:
            self._stacks.write_new_if_due()
            for batch in batches:
                self._take(batch)
        finally:
            self._session.release_batch()
        return sum(map(len, batches))

    def _follow_clock(self) -> None:
        """Where the system's clock was set, the records that follow have the new time."""
        step = self._clock.follow()
        if step:
            self._renderer.set_wall_offset(self._clock.offset_ns)
        if abs(step) >= _WORTH_A_RECORD_NS:
            self.clock_steps += 1
            self._output.write_record("clock.stepped", "warning", by_ns=step)

    def _take(self, batch: NDArray[np.uint8]) -> None:
        kept, over = batch[: self._room], batch[self._room :]
        self._room -= len(kept)
        self._count(self._trimmed, over)
        for start in range(0, len(kept), _ROWS):
            records = kept[start : start + _ROWS]
            if self._held or self._output.throttles:
                self._hold(records)
            else:
                self._write(records)

    def _hold(self, records: NDArray[np.uint8]) -> None:
        """Keep records for later. Their stacks are named now: the kernel has them now."""
        self._stacks.write_shown(self._columns.find_numbers(records))
        self._held.append(records.copy())
        self._held_bytes += records.nbytes

    def _write(self, records: NDArray[np.uint8]) -> None:
        written = 0
        if self._output.sink.usable and not self.full:
            self._stacks.write_shown(self._columns.find_numbers(records))
            lines, fitting = self._fitting(self._renderer.render(records), len(records))
            kinds = _kinds_of(records[:fitting])
            written = self._output.write_lines(
                lines, fitting, lambda lost: self._take_back(kinds[fitting - lost :])
            )
        self._output.show(records[:written], self._clock.offset_ns)
        self._count(self._delivered, records[:written])
        self._count(self._undelivered, records[written:])

    def _take_back(self, kinds: NDArray[np.uint16]) -> None:
        """Records that the output had accepted were lost after all."""
        lost = np.bincount(kinds, minlength=len(self._delivered))
        self._delivered -= lost
        self._undelivered += lost

    def _fitting(self, lines: memoryview | bytes, records: int) -> tuple[memoryview | bytes, int]:
        """As many whole lines as fit into limits.output, and their number."""
        room = self._bytes - self._output.sink.bytes
        if len(lines) <= room:
            return lines, records
        self.full = True
        part = bytes(lines[: max(0, room)])
        part = part[: part.rfind(b"\n") + 1]
        return part, part.count(b"\n")

    def _count(self, into: NDArray[np.int64], records: NDArray[np.uint8]) -> None:
        if len(into) == 1:
            into[0] += len(records)
        elif len(records):
            into += np.bincount(_kinds_of(records), minlength=len(into))


def _kinds_of(records: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """By record: the index of its Emit. A copy, since the records' memory is used again."""
    return records[:, _EMIT : _EMIT + 2].copy().view("<u2")[:, 0]
