"""A session's reading side, created when it is first needed: attaching and arming do not wait for
numpy, which takes longer to import than a plan takes to attach."""

from dataclasses import field
from typing import TYPE_CHECKING

from orchestrator.backends.tracefs.design.layout import EventLayout
from orchestrator.backends.tracefs.instance.task_instance import TaskInstance
from orchestrator.backends.tracefs.instance.trace_instance import TraceInstance
from orchestrator.compile.program import Program
from orchestrator.values import dataclass

if TYPE_CHECKING:
    from orchestrator.backends.tracefs.reader.reading_side import ReadingSide

__all__ = ["LazyReadingSide"]


@dataclass(slots=True)
class LazyReadingSide:
    """The reading side of one instance."""

    program: Program
    layout: EventLayout
    instance: TraceInstance
    tasks: TaskInstance | None
    _made: "ReadingSide | None" = field(default=None, init=False)

    @property
    def is_made(self) -> bool:
        """Whether anything has been read or counted so far."""
        return self._made is not None

    def get(self) -> "ReadingSide":
        """The reading side. Raises OSError if it has to be created and an event's format cannot
        be read."""
        if self._made is None:
            from orchestrator.backends.tracefs.reader.reading_side import make_reading_side

            self._made = make_reading_side(self.program, self.layout, self.instance, self.tasks)
        return self._made

    def restart(self) -> None:
        """Forget what was read and counted; what is known of tasks stays."""
        if self._made is not None:
            self._made = self._made.restarted(self.program, self.layout)
