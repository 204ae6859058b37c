"""Tests which events are of the target, as far as the kernel did not."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from orchestrator.backends.tracefs.design.event_fields import COMM
from orchestrator.backends.tracefs.design.layout import EventSource
from orchestrator.backends.tracefs.reader.arrays import BoolArray
from orchestrator.backends.tracefs.reader.columns import EventColumns
from orchestrator.backends.tracefs.reader.tasks import Tasks
from orchestrator.compile.program import ResolvedTarget

__all__ = ["Targets"]


class Targets:
    """The target, tested for many events at once. The kernel tests numbers first, by its list of
    threads; it lets go of a number a little after its task's end, and cannot follow a thread to
    another number. So numbers are tested again, by the lives that they stand for."""

    def __init__(self, target: ResolvedTarget, tasks: Tasks) -> None:
        self.target, self.tasks = target, tasks

    def find_target(self, columns: EventColumns, source: EventSource) -> BoolArray:
        """Which events are of the target."""
        target, tids = self.target, columns.tids
        mask = np.ones(len(columns), dtype=bool)
        if target.pid or target.tid or target.children:
            mask &= self._find_numbered(columns)
        if target.uid:
            mask &= np.isin(self.tasks.users_of(tids, group=False), target.uid)
        if target.comm and not source.tests_comm:
            mask &= self._find_named(columns, source, target.comm)
        return mask & ~self._find_left_out(columns, source)

    def _find_left_out(self, columns: EventColumns, source: EventSource) -> BoolArray:
        """Which events are of tasks that are left out. What is not known of a task is not."""
        others, tids = self.target.left_out, columns.tids
        mask = np.zeros(len(columns), dtype=bool)
        if others.pid:
            mask |= np.isin(self.tasks.pids_of(tids), others.pid)
        if others.tid:
            mask |= np.isin(tids, others.tid)
        if others.uid:
            mask |= np.isin(self.tasks.users_of(tids, group=False), others.uid)
        if others.comm:
            mask |= self._find_named(columns, source, others.comm)
        return mask

    def _find_numbered(self, columns: EventColumns) -> BoolArray:
        target, tids, lives = self.target, columns.tids, self.tasks.lives
        if lives.is_whole:
            return lives.is_target(columns.events.task)
        mask = np.ones(len(columns), dtype=bool)
        if target.pid and not target.children:
            mask &= np.isin(self.tasks.pids_of(tids), target.pid)
        if target.tid:
            mask &= np.isin(tids, target.tid)
        return mask

    def _find_named(
        self, columns: EventColumns, source: EventSource, globs: Sequence[str]
    ) -> BoolArray:
        column = columns.leaf_column(COMM) if COMM in source.field_names else None
        names = self.tasks.names_at(columns.events) if column is None else column.values
        mask = np.zeros(len(columns), dtype=bool)
        for glob in globs:
            mask |= _match_names(names, glob.encode())
        return mask


def _match_names(names: npt.NDArray[np.bytes_], glob: bytes) -> BoolArray:
    if glob.endswith(b"*"):
        return np.char.startswith(names, glob[:-1])
    if glob.startswith(b"*"):
        return np.char.endswith(names, glob[1:])
    return np.asarray(names == glob)
