"""Attached programs: armed, drained, counted and detached."""

import contextlib
import time
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrator.backends.bcc.attach.attachments import Attachments
from orchestrator.backends.bcc.attach.control import ControlElement
from orchestrator.backends.bcc.attach.iterating import read_iterators
from orchestrator.backends.bcc.attach.seed import read_lost_cgroups
from orchestrator.backends.bcc.attach.session_maps import fill_ledger
from orchestrator.backends.bcc.counts.once_keys import OnceKeys
from orchestrator.backends.bcc.counts.probe_costs import read_expenses
from orchestrator.backends.bcc.counts.session_counters import SessionCounters
from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.handles.maps import Map
from orchestrator.backends.descriptor_poll import poll_descriptors
from orchestrator.backends.prices import Price
from orchestrator.backends.protocol import (
    AttachedHook,
    Counts,
    Expense,
    MetricsReading,
    OpenSpans,
    ProbeSwitch,
    SkippedHook,
)
from orchestrator.cells.cell import Cell
from orchestrator.kernel.abi.run_time import RunTime
from orchestrator.symbols.frames import Stack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from orchestrator.backends.bcc.counts.ring import Ring


class BccSession:
    """protocol.Session for bcc, of parts that `attaching` has finished. `ring` is None where the
    plan makes no records; `undoing` closes all parts in reverse."""

    def __init__(  # noqa: PLR0913  # its parts
        self,
        map_layout: layout.MapLayout,
        *,
        maps: Mapping[int, Map],
        control: ControlElement,
        ring: "Ring | None",
        attachments: Attachments,
        counters: SessionCounters,
        prices: Mapping[str, Price],
        undoing: contextlib.ExitStack,
    ) -> None:
        self.program = map_layout.program
        self.attached: Sequence[AttachedHook] = tuple(attachments.attached)
        self.skipped: Sequence[SkippedHook] = tuple(attachments.skipped)
        self._maps, self._control, self._ring = maps, control, ring
        self._attachments, self._counters, self._prices = attachments, counters, prices
        self._undoing, self._run_time = undoing, RunTime()
        self._once_keys = OnceKeys(self.program, maps)
        self._held = 0  # records of the last read

    # -- steering ------------------------------------------------------------------------------

    def arm(self, deadline_ns: int) -> None:
        """Let records and metrics flow until `deadline_ns`."""
        self._counters.accounts.start(self._attachments.sides)
        self._control.arm(deadline_ns)

    def clear(self) -> None:
        """Forget what was counted so far, as if it had never been armed; only while disarmed. Calls
        that are open are not paired: `arm` begins a new epoch."""
        self._counters.clear()
        fill_ledger(self._counters.layout, self._maps)

    def take_snapshots(self) -> Sequence[str]:
        """Read all iterators from their first object to their last; what went wrong."""
        return tuple(read_iterators(self._attachments.sides))

    def count_lost_cgroups(self) -> int | None:
        """Those that match a pattern of the target and did not fit; None where no new ones are
        followed."""
        cgroups = self._maps.get(layout.CGROUPS)
        return None if cgroups is None else read_lost_cgroups(cgroups)

    def extend(self, deadline_ns: int) -> None:
        """Move the deadline. A lease that expired while we were stopped is renewed."""
        self._control.extend(deadline_ns)

    def pause(self, probes: Collection[int]) -> None:
        """Switch probes off by the fuse: their programs return at once, and count that."""
        self._control.pause(probes)

    def resume(self, probes: Collection[int]) -> None:
        """Switch paused probes on again. Calls that were open are forgotten: their returns may have
        been missed. So is what their notes keep."""
        hooks = [hook for probe in probes for hook in self.program.probes[probe].hooks]
        for span in {use.span for hook in hooks for use in hook.body.spans}:
            self._forget_spans(span)
        for note in {use.note for hook in hooks for use in hook.body.notes}:
            self._forget_notes(note)
        self._control.resume(probes)

    def find_switch(self) -> ProbeSwitch:
        """The control element, which begins with a bit for each probe."""
        return ProbeSwitch(
            descriptor=self._maps[layout.CONTROL].fd,
            size=self._maps[layout.CONTROL].mapped_bytes,
            words=self._control.words_when_on(),
        )

    def _forget_spans(self, span: int) -> None:
        """Spans that are open may have ended while one of their probes was off."""
        open_spans = self._maps[layout.span_map(self.program.spans[span])]
        self._counters.accounts.forgotten[span] += _delete_all(open_spans)

    def _forget_notes(self, note: int) -> None:
        """What is kept may have been dropped, or another been set, in the meantime."""
        kept = self._maps[layout.note_map(self.program.notes[note])]
        self._counters.accounts.forgotten_notes[note] += _delete_all(kept)

    def capped(self) -> bool:
        """True once the plan's event cap is reached."""
        return self._control.is_capped()

    def disarm(self) -> None:
        """Stop recording at once; what is in the ring stays readable until `detach`."""
        self._control.disarm()

    # -- what it costs -------------------------------------------------------------------------

    @property
    def samplable(self) -> Collection[int]:
        """Probes whose sampling can be changed: all but those in a span that another probe
        starts."""
        return {probe.index for probe in self.program.probes if probe.samplable}

    def resample(self, probe: int, every: int) -> None:
        """From now on keep one of `every` events of the probe, with that weight."""
        self._control.set_sampling(probe, every)

    def set_run_time_stats(self, on: bool) -> None:
        """Have the kernel measure run times, or no longer. Raises OSError."""
        if on:
            self._run_time.on()
        else:
            self._run_time.off()

    def expenses(self) -> Sequence[Expense]:
        """What each attached program has cost."""
        return read_expenses(self._attachments.sides, self._counters.accounts, self._prices)

    def detach_probe(self, probe: int) -> None:
        """Switch a probe off by the fuse at once, and detach the programs that serve no other probe
        while the run goes on."""
        removed = self._control.remove(probe)
        sides = self._attachments.sides_only_for(removed)
        self._counters.accounts.leave(sides)
        self._attachments.detach_sides(sides)

    # -- reading -------------------------------------------------------------------------------

    def wait(self, timeout_s: float, also: Sequence[int] = ()) -> None:
        """Sleep until there may be records or one of `also` can be read, at most `timeout_s`."""
        self._once_keys.forget_old()
        if also:
            ring = () if self._ring is None else (self._ring.fileno(),)
            poll_descriptors((*ring, *also), timeout_s)
        elif self._ring is None:
            time.sleep(timeout_s)
        else:
            self._ring.wait(timeout_s)

    def read(self) -> "Sequence[NDArray[np.uint8]]":
        """What is complete in the ring, as one batch in time order; not copied unless two CPUs'
        records came in the wrong order."""
        batch = None if self._ring is None else self._ring.batch(self.program.record_size)
        if batch is None:
            return ()
        self._held = len(batch)
        return (_sort_by_time(batch),)

    def release_batch(self) -> None:
        """Give the records of the last `read` back to the kernel."""
        if self._ring is not None and self._held:
            self._ring.advance(self._held)
        self._held = 0

    def metrics(self) -> Mapping[int, Sequence[Cell]]:
        """All cells by metric index; after `detach`, as they were then."""
        return self._counters.metrics()

    def metrics_together(self, together: Collection[int]) -> MetricsReading:
        """All cells, and how many events the metrics `together` counted while they were read."""
        return self._counters.metrics_together(together)

    def new_stacks(self, numbers: Collection[int] | None = None) -> Sequence[Stack]:
        """Stacks with these numbers, or all, that were not returned before; none after `detach`."""
        return self._counters.new_stacks(numbers)

    def open_spans(self, span: int) -> OpenSpans:
        """The open spans of one kind; after `detach`, as they were then."""
        return self._counters.open_spans(span)

    def counts(self) -> Counts:
        """All counters; after `detach`, as they were then."""
        return self._counters.counts(self._attachments.sides)

    def detach(self) -> None:
        """Undo everything in reverse. Idempotent; counters and cells stay readable as they were.

        Raises OSError (EBUSY) when an event's definition could not be removed, after the rest.
        """
        try:
            self._run_time.off()
            self._control.disarm()
            self._counters.finish(self._attachments.sides)
            self._ring = None
        finally:
            self._undoing.close()  # goes on after an error, and raises it at its end


def _delete_all(entries: Map) -> int:
    """How many elements were there, and are deleted."""
    return sum(entries.delete(key) for key in [key for key, _ in entries.items()])


def _sort_by_time(batch: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
    """Records are in the order of their reservation; their time stamps are a little older."""
    import numpy as np

    stamps = batch[:, :8].view(np.uint64)[:, 0]
    if (stamps[1:] >= stamps[:-1]).all():
        return batch
    ordered: NDArray[np.uint8] = batch[np.argsort(stamps, kind="stable")]
    return ordered
