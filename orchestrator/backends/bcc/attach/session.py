"""A program in the kernel: set up, armed, drained, counted, taken away again."""

import contextlib
import struct
import time
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrator.backends.bcc.attach import seed
from orchestrator.backends.bcc.attach.attachments import Places
from orchestrator.backends.bcc.attach.identity import check_namespace, own_tgid
from orchestrator.backends.bcc.counts.probe_costs import expenses, prices_of
from orchestrator.backends.bcc.counts.session_counters import Tally
from orchestrator.backends.bcc.design import layout, memory
from orchestrator.backends.bcc.design.artifact import Detail
from orchestrator.backends.bcc.design.groups import clusters, groups
from orchestrator.backends.bcc.design.maps import Map, create_map
from orchestrator.backends.bcc.emit.source import EXIT, FORK
from orchestrator.backends.prices import Price
from orchestrator.backends.protocol import (
    Artifact,
    AttachedHook,
    AttachOptions,
    Counts,
    Expense,
    OpenSpans,
    SkippedHook,
)
from orchestrator.cells.cell import Cell
from orchestrator.kernel.abi import perf
from orchestrator.kernel.abi.run_time import RunTime
from orchestrator.plan.findings import Finding, HostError
from orchestrator.symbols.frames import Stack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from orchestrator.backends.bcc.counts.ring import Ring


class BccSession:
    """protocol.Session for bcc. Made by `attaching`."""

    def __init__(self, artifact: Artifact[Detail], options: AttachOptions) -> None:
        self.program, self.detail, self.options = artifact.program, artifact.detail, options
        self.attached: Sequence[AttachedHook] = ()
        self.skipped: Sequence[SkippedHook] = ()
        self._maps: dict[int, Map] = {}
        self._places = Places(self.detail.choices, options, self._maps)
        self._tally: Tally | None = None
        self._ring: Ring | None = None
        self._capped = self._armed = False
        self._paused: set[int] = set()
        self._dropped: set[int] = set()
        self._prices: Mapping[str, Price] = {}
        self._run_time = RunTime()
        self._views: list[memoryview] = []  # of the control and the shared element
        self._held = 0  # records of the last read

    # -- set up --------------------------------------------------------------------------------

    def set_up(self, code: Mapping[str, bytes]) -> None:
        """Maps, their first contents, programs, and hooks last."""
        places, children = self._places, self.program.target.children
        programs = groups(self.detail.layout, self.detail.choices)
        self._prices = prices_of(programs)
        self._make_maps()
        self._fill_maps()
        if children:
            places.follow(FORK, code[FORK], "sched_process_fork")
            self._seed_tasks()
        for hook in self.program.hooks:
            choice = self.detail.choices[hook.id]
            if choice.mechanism is None:
                places.skip(hook, "; ".join(choice.rejected.values()))
        for cluster in clusters(programs):
            places.place(cluster, code)
        if children:  # a probe at the same event sees the task before it goes
            places.follow(EXIT, code[EXIT], "sched_process_exit")
        self.attached, self.skipped = tuple(places.attached), tuple(places.skipped)
        self._tally = Tally(self.detail.layout, self._maps, lambda: self._armed)

    def _make_maps(self) -> None:
        try:
            for placeholder, spec in self.detail.maps.items():
                self._maps[placeholder] = create_map(spec)
            if self.detail.ring_bytes:
                spec = memory.ring_spec(self.detail.ring_bytes)
                self._maps[layout.RING] = create_map(spec)
        except OSError as error:
            message = f"the kernel refused map {spec.name}: {error.strerror}"
            raise HostError([Finding(code="PP089", message=message)]) from None

    def _fill_maps(self) -> None:
        from orchestrator.backends.bcc.counts.ring import Ring

        lay = self.detail.layout
        for placeholder in (layout.CONTROL, layout.SHARED):
            whole = self._maps[placeholder].map_memory()
            self._views.append(memoryview(whole).cast("Q"))
        tgid = own_tgid()
        check_namespace(self.program.target, tgid)
        for index, word in enumerate(seed.control_words(lay, tgid)):
            self._control[index] = word
        for side in lay.sides:
            element = seed.ledger_element(lay, side, perf.possible_cpus())
            self._maps[layout.LEDGER].update(struct.pack("=I", side.index), element)
        for span in self.program.spans:
            element = seed.span_element(lay, span, perf.possible_cpus())
            place = struct.pack("=I", lay.span_element(span.index))
            self._maps[layout.LEDGER].update(place, element)
        if self.detail.ring_bytes:
            self._ring = Ring(self._maps[layout.RING].fd, self.detail.ring_bytes)

    @property
    def _control(self) -> memoryview:
        return self._views[0]

    @property
    def _shared(self) -> memoryview:
        return self._views[1]

    def _seed_tasks(self) -> None:
        """Those that are followed from the start; births are seen already."""
        root = self.options.root_pid
        for pid in (root,) if root is not None else self.program.target.pid:
            seed.seed_threads(self._maps[layout.TASKS], pid)

    # -- the run -------------------------------------------------------------------------------

    def arm(self, deadline_ns: int) -> None:
        """Let records and metrics flow until `deadline_ns`."""
        assert self._tally is not None
        self._tally.accounts.start(self._places.placed)
        self._armed = True
        self.extend(deadline_ns)

    def extend(self, deadline_ns: int) -> None:
        """Move the deadline. A lease that ran out, since we were stopped, is taken up again."""
        self._control[self.detail.layout.plan_word("deadline")] = deadline_ns
        self._enable()

    def _enable(self) -> None:
        """A bit for each probe that is not paused, unless all are disarmed."""
        stopped = self.program.limits.at_cap == "stop" and self.capped()
        if not self._armed or stopped:
            return
        bits = sum(1 << probe.index for probe in self.program.probes)
        bits &= ~sum(1 << probe for probe in self._paused | self._dropped)
        for word in range(self.detail.layout.enabled_words):
            self._control[word] = bits >> 64 * word & 0xFFFF_FFFF_FFFF_FFFF

    def pause(self, probes: Collection[int]) -> None:
        """Switch probes off by the fuse: their programs return at once, and count that."""
        self._paused |= set(probes)
        self._enable()

    def resume(self, probes: Collection[int]) -> None:
        """Switch paused probes on again. Calls that were open are forgotten: their returns may have
        gone by."""
        if layout.OPEN in self._maps:
            hooks = {hook.id for probe in probes for hook in self.program.probes[probe].hooks}
            calls = self._maps[layout.OPEN]
            for key in [key for key, _ in calls.items()]:
                if struct.unpack_from("=QI", key)[1] in hooks:  # struct pp_call: thread, hook
                    calls.delete(key)
        self._forget_spans(set(probes))
        self._paused -= set(probes)
        self._enable()

    def _forget_spans(self, probes: set[int]) -> None:
        """Spans that are open may have ended while one of their probes was off."""
        assert self._tally is not None
        hooks = [hook for probe in probes for hook in self.program.probes[probe].hooks]
        for number in {use.span for hook in hooks for use in hook.body.spans}:
            opened = self._maps[layout.span_map(self.program.spans[number])]
            gone = sum(opened.delete(key) for key in [key for key, _ in opened.items()])
            self._tally.accounts.forgotten[number] += gone

    # -- what it costs -------------------------------------------------------------------------

    @property
    def samplable(self) -> Collection[int]:
        """Probes that are no later part of a span."""
        return {probe.index for probe in self.program.probes if probe.samplable}

    def set_run_time_stats(self, on: bool) -> None:
        """Have the kernel measure run times, or no longer. Raises OSError."""
        if on:
            self._run_time.on()
        else:
            self._run_time.off()

    def expenses(self) -> Sequence[Expense]:
        """One for each program that is attached."""
        assert self._tally is not None
        return expenses(self._places.placed, self._tally.accounts, self._prices)

    def resample(self, probe: int, every: int) -> None:
        """One word that all programs look at: each CPU then draws a first gap by itself."""
        self._control[self.detail.layout.probe_word(probe, "sample")] = every

    def detach_probe(self, probe: int) -> None:
        """Off by the fuse at once; then what serves no other probe is taken away."""
        assert self._tally is not None
        self._dropped.add(probe)
        self._enable()
        gone = self._places.only_for(self._dropped)
        self._tally.accounts.leave(gone)
        self._places.take_away(gone)

    # -- reading -------------------------------------------------------------------------------

    def wait(self, timeout_s: float) -> None:
        """Sleep until there may be records, at most `timeout_s`."""
        if self._ring is None:
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
        return (_in_time_order(batch),)

    def release_batch(self) -> None:
        """Give the records of the last `read` back to the kernel."""
        if self._ring is not None and self._held:
            self._ring.advance(self._held)
        self._held = 0

    def capped(self) -> bool:
        """True once the plan's event cap is reached."""
        word = self.detail.layout.emitted_line(None) * layout.LINE_WORDS
        if self._views and self.program.emits:
            self._capped = self._shared[word] >= self.program.limits.events
        return self._capped

    def metrics(self) -> Mapping[int, Sequence[Cell]]:
        """All cells by metric index, as of now; after `detach`, as of then."""
        assert self._tally is not None
        return self._tally.metrics()

    def new_stacks(self, numbers: Collection[int] | None = None) -> Sequence[Stack]:
        """Stacks with these numbers, or all, that were not asked for before; none once all is
        detached."""
        return self._tally.new_stacks(numbers) if self._tally is not None else ()

    def open_spans(self, span: int) -> OpenSpans:
        """The open spans of one kind, as of now; after `detach`, as of then."""
        assert self._tally is not None
        return self._tally.open_spans(span)

    def counts(self) -> Counts:
        """All counters as of now; after `detach`, as of then."""
        assert self._tally is not None
        return self._tally.counts(self._places.placed)

    def disarm(self) -> None:
        """Stop recording at once; what is in the ring stays readable until `detach`."""
        self._armed = False
        for word in range(self.detail.layout.enabled_words):
            self._control[word] = 0

    def detach(self) -> None:
        """Undo everything in reverse. Idempotent; counters and cells stay readable as of then.

        Raises OSError (EBUSY) when an event's definition could not be removed, after the rest.
        """
        self._run_time.off()
        if self._views:
            self.disarm()
        if self._tally is not None:
            self._tally.finish(self._places.placed)
        with contextlib.ExitStack() as undoing:  # goes on after an error, and raises it at its end
            undoing.callback(self._close_maps)
            undoing.callback(self._places.clear)

    def _close_maps(self) -> None:
        """Unmap and close; a map that a program still holds goes with the program."""
        if self._ring is not None:
            self._ring.close()
            self._ring = None
        for view in self._views:
            view.release()
        for made in self._maps.values():
            made.close()
        self._maps.clear()
        self._views = []


def _in_time_order(batch: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
    """Records lie in the order in which they were reserved; their stamps are a little older."""
    import numpy as np

    stamps = batch[:, :8].view(np.uint64)[:, 0]
    if (stamps[1:] >= stamps[:-1]).all():
        return batch
    ordered: NDArray[np.uint8] = batch[np.argsort(stamps, kind="stable")]
    return ordered
