"""Everything that a session needs to turn pages into records, created as one object.

Importing this module imports numpy, so it is imported when events are first read.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

from orchestrator.backends.tracefs.design.layout import EventLayout
from orchestrator.backends.tracefs.instance.task_instance import TaskInstance
from orchestrator.backends.tracefs.instance.trace_instance import TraceInstance
from orchestrator.backends.tracefs.reader.arrays import ByteArray
from orchestrator.backends.tracefs.reader.columns import EventFormat
from orchestrator.backends.tracefs.reader.drain import Drain
from orchestrator.backends.tracefs.reader.events import Events
from orchestrator.backends.tracefs.reader.lives import Lives
from orchestrator.backends.tracefs.reader.pipeline import Pipeline
from orchestrator.backends.tracefs.reader.task_watch import TaskWatch
from orchestrator.backends.tracefs.reader.tasks import Tasks
from orchestrator.compile.program import Program
from orchestrator.kernel.tracepoints import parse_format
from orchestrator.values import dataclass

__all__ = ["ReadingSide", "make_reading_side"]

_READ_S = 0.1  # the longest that one read goes on while events keep coming
_LATE_NS = 2_000_000  # the longest between an event's time stamp and its commit
_FOREVER = (1 << 63) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingSide:
    """`drain` takes events out of the instance's buffers, `pipeline` makes records and cells of
    them; `formats` are the records of the sources, in order; `watch` knows whose events they
    are."""

    pipeline: Pipeline
    drain: Drain
    formats: tuple[EventFormat, ...]
    watch: TaskWatch | None

    @property
    def corrupt(self) -> int:
        """How many pages and events could not be read."""
        return self.drain.corrupt + sum(event_format.corrupt for event_format in self.formats)

    @property
    def lost_of_tasks(self) -> int:
        """How many events about tasks were lost."""
        return 0 if self.watch is None else self.watch.count_lost()

    def read_batches(self, deadline_ns: int, *, is_recording: bool) -> Sequence[ByteArray]:
        """Batches of records in time order. Events after `deadline_ns` (CLOCK_MONOTONIC) count as
        expired. While the instance is recording, events of the last 2 ms may be held back."""
        self.pipeline.tasks.refresh()
        batches = []
        until = time.monotonic() + _READ_S
        while True:
            before = time.monotonic_ns() - _LATE_NS if is_recording else _FOREVER
            events, has_more = self.drain.take_events(before)
            self._identify_tasks(events, before)
            if len(events):
                records = self.pipeline.process_events(events, deadline_ns)
                if len(records):
                    batches.append(records)
            if not has_more or (is_recording and time.monotonic() > until):
                return batches

    def restarted(self, program: Program, layout: EventLayout) -> "ReadingSide":
        """The same with nothing counted and no call open; what is known of tasks stays."""
        tasks = self.pipeline.tasks
        pipeline = Pipeline(program, layout.hooks, self.formats, tasks, layout.stack_step)
        return replace(self, pipeline=pipeline)

    def _identify_tasks(self, events: Events, before_ns: int) -> None:
        """Whose events these are, of all before `before_ns`: what happened to tasks until then has
        been recorded by now."""
        if self.watch is None:
            return
        lives = self.watch.lives
        self.watch.catch_up()
        events.task = lives.identify(events.read_tids(), events.time)
        lives.forget_before(int(events.time[0]) if len(events) else before_ns)


def make_reading_side(
    program: Program, layout: EventLayout, instance: TraceInstance, tasks: TaskInstance | None
) -> ReadingSide:
    """The reading side of an instance in which all events of `layout` exist. Raises OSError."""
    formats = tuple(_read_formats(layout, instance))
    watch = None if tasks is None else TaskWatch(tasks.instance, Lives(tasks.target))
    names = Tasks(instance.tracefs, watch=watch)
    return ReadingSide(
        pipeline=Pipeline(program, layout.hooks, formats, names, layout.stack_step),
        drain=Drain(instance),
        formats=formats,
        watch=watch,
    )


def _read_formats(layout: EventLayout, instance: TraceInstance) -> Sequence[EventFormat]:
    formats = []
    for source in layout.sources:
        category, event = instance.names.event_of(source)
        parsed = parse_format(category, event, instance.read_format(category, event))
        fields = {field.name: field for field in (*parsed.common, *parsed.fields)}
        needed = [fields[name] for name in source.field_names.values() if name in fields]
        formats.append(
            EventFormat(
                source=source,
                kind=parsed.id or 0,
                fields=fields,
                size=max((f.offset + f.size for f in needed), default=8),
            )
        )
    return formats
