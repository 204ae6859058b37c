"""A program in the kernel: attached as a whole, armed, drained, counted, taken away again."""

import contextlib
import os
import struct
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.backends.bcc import clang, layout, memory, seed
from orchestrator.backends.bcc.artifact import Detail
from orchestrator.backends.bcc.artifact import artifact as with_choices
from orchestrator.backends.bcc.attachment import (
    AttachError,
    Attachment,
    close_together,
    raw_tracepoint,
)
from orchestrator.backends.bcc.counting import Accounts
from orchestrator.backends.bcc.groups import Group, clusters, groups, price_kind, price_kind_of
from orchestrator.backends.bcc.hooks import Placed, attach_side, load_side
from orchestrator.backends.bcc.identity import check_namespace, own_tgid
from orchestrator.backends.bcc.load import LoadError, load_program
from orchestrator.backends.bcc.maps import Map, create_map
from orchestrator.backends.bcc.mechanism import choose
from orchestrator.backends.bcc.reading import LedgerReader, MetricReader, Rows, opened_of
from orchestrator.backends.bcc.source import EXIT, FORK
from orchestrator.backends.bcc.stacks import StackReader
from orchestrator.backends.prices import Price, prices
from orchestrator.backends.protocol import (
    Artifact,
    AttachedHook,
    AttachOptions,
    Cell,
    Counts,
    Expense,
    Opened,
    SkippedHook,
    StackCounts,
)
from orchestrator.compile.program import Hook, SpanProgram
from orchestrator.kernel import bpf, perf
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.run_time import RunTime
from orchestrator.plan.findings import Finding, HostError
from orchestrator.symbols.frames import Stack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from orchestrator.backends.bcc.ring import Ring


def attach(artifact: Artifact, facts: KernelFacts, options: AttachOptions) -> "BccSession":
    """Attach everything or nothing, disarmed; optional hooks may be left out. Raises HostError."""
    try:
        return attach_compiled(artifact, compiled(artifact), options)
    except TrampolineRefused as refused:
        return attach(_without_trampoline(artifact, facts, refused), facts, options)


class TrampolineRefused(HostError):  # says what happened, as HostError's kin do
    """The kernel has trampolines, but none for this hook's function."""

    def __init__(self, hook: Hook, error: HostError) -> None:
        self.hook = hook
        super().__init__(error.findings)


def _without_trampoline(
    artifact: Artifact, facts: KernelFacts, refused: TrampolineRefused
) -> Artifact:
    """The artifact with that hook's next mechanism. Raises `refused` when it has none."""
    assert isinstance(artifact.detail, Detail)
    why = "; ".join(finding.message for finding in refused.findings)
    choice = choose(refused.hook, facts, {"fentry": why})
    if choice.mechanism is None:
        raise refused
    choices = {**artifact.detail.choices, refused.hook.id: choice}
    return with_choices(artifact.program, facts, choices)


def compiled(artifact: Artifact) -> Mapping[str, bytes]:
    """The instructions of every function of the artifact. Needs the compiler or its cache, but
    neither root nor the kernel that they are for. Raises HostError."""
    assert isinstance(artifact.detail, Detail)
    try:
        return clang.compile_c(artifact.text, artifact.detail.functions)
    except clang.CompileError as error:
        message = f"the generated program could not be compiled: {error}"
        raise HostError([Finding(code="PP089", message=message)]) from None


def attach_compiled(
    artifact: Artifact, code: Mapping[str, bytes], options: AttachOptions
) -> "BccSession":
    """As `attach`, with instructions that `compiled` made, perhaps on another machine."""
    assert isinstance(artifact.detail, Detail)
    session = BccSession(artifact, artifact.detail, options)
    try:
        session.set_up(code)
    except BaseException:
        session.detach()
        raise
    return session


class BccSession:
    """protocol.Session for bcc. Made by `attach`."""

    def __init__(self, artifact: Artifact, detail: Detail, options: AttachOptions) -> None:
        self.program, self.detail, self.options = artifact.program, detail, options
        self.attached: Sequence[AttachedHook] = ()
        self.skipped: Sequence[SkippedHook] = ()
        self._maps: dict[int, Map] = {}
        self._programs: list[int] = []
        self._placed: list[Placed] = []
        self._followers: list[Attachment] = []
        self._ring: Ring | None = None
        self._capped = self._armed = False
        self._paused: set[int] = set()
        self._dropped: set[int] = set()
        self._prices: Mapping[str, Price] = {}
        self._run_time = RunTime()
        self._views: list[memoryview] = []  # of the control and the shared element
        self._accounts: Accounts | None = None
        self._stacks: StackReader | None = None
        self._final_metrics: Mapping[int, Sequence[Cell]] | None = None
        self._final_opened: dict[int, Opened] = {}
        self._held = 0  # records of the last read

    # -- set up --------------------------------------------------------------------------------

    def set_up(self, code: Mapping[str, bytes]) -> None:
        """Maps, their first contents, programs, and hooks last."""
        programs = groups(self.detail.layout, self.detail.choices)
        self._prices = prices({price_kind(group) for group in programs}, _measured)
        self._make_maps()
        self._follow(code, FORK, "sched_process_fork")
        self._seed_tasks()
        for hook in self.program.hooks:
            choice = self.detail.choices[hook.id]
            if choice.mechanism is None:
                self._skip(hook, "; ".join(choice.rejected.values()))
        for cluster in clusters(groups(self.detail.layout, self.detail.choices)):
            self._place(cluster, code)
        self._follow(code, EXIT, "sched_process_exit")  # a probe there sees the task before it goes
        reader = LedgerReader(self.detail.layout, self._maps[layout.LEDGER])
        self._accounts = Accounts(self.detail.layout, reader, self._open_spans, self._stack_counts)

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
        self._fill_maps()

    def _fill_maps(self) -> None:
        from orchestrator.backends.bcc.ring import Ring

        lay = self.detail.layout
        if lay.stack_depth:
            maps = (self._maps[layout.STACKS], self._maps[layout.STACK_COUNTS])
            self._stacks = StackReader(*maps)
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

    def _descriptors(self) -> dict[int, int]:
        return {placeholder: made.fd for placeholder, made in self._maps.items()}

    def _follow(self, code: Mapping[str, bytes], name: str, event: str) -> None:
        """Attach a program that keeps the map of followed tasks, where children are the target."""
        if not self.program.target.children:
            return
        try:
            program = load_program(
                code[name], bpf.RAW_TRACEPOINT, name=name, maps=self._descriptors()
            )
            self._programs.append(program)
            self._followers.append(raw_tracepoint(event, program))
        except (LoadError, AttachError) as error:
            message = f"children cannot be followed: {error}"
            raise HostError([Finding(code="PP089", message=message)]) from None

    def _seed_tasks(self) -> None:
        """Those that are followed from the start; births are seen already."""
        if not self.program.target.children:
            return
        root = self.options.root_pid
        for pid in (root,) if root is not None else self.program.target.pid:
            self._seed_task(pid)

    def _seed_task(self, pid: int) -> None:
        """All threads of a process; twice, since a thread may be born while we read."""
        for _ in range(2):
            with contextlib.suppress(OSError):
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    key = struct.pack("=I", int(thread.name))
                    self._maps[layout.TASKS].update(key, b"\1")

    # -- hooks ---------------------------------------------------------------------------------

    def _place(self, cluster: Sequence[Group], code: Mapping[str, bytes]) -> None:
        """Attach programs that stand and fall together; what is optional may be left out."""
        hooks = {side.hook.id: side.hook for group in cluster for side in group.sides}
        try:
            placed = self._attached(cluster, code)
        except HostError as error:
            if isinstance(error, TrampolineRefused) or not all(h.optional for h in hooks.values()):
                raise
            for hook in hooks.values():
                self._skip(hook, "; ".join(finding.message for finding in error.findings))
            return
        self._placed += placed
        for hook in sorted(hooks.values(), key=lambda hook: hook.id):
            own = [one for one in placed if one.side.hook is hook]
            choice = self.detail.choices[hook.id]
            made = AttachedHook(
                hook=hook.id,
                mechanism=choice.mechanism or "none",
                target=_target(hook),
                detail=", ".join(one.attachment.place for one in reversed(own)),
            )
            self.attached = (*self.attached, made)

    def _skip(self, hook: Hook, reason: str) -> None:
        self.skipped = (*self.skipped, SkippedHook(hook=hook.id, reason=reason))

    def _attached(self, cluster: Sequence[Group], code: Mapping[str, bytes]) -> list[Placed]:
        """All programs of the cluster or none."""
        made: list[Placed] = []
        for group in cluster:
            try:
                made += self._attach(group, code[group.function])
            except HostError as error:
                for attachment in _distinct(made):
                    self._take_away(attachment)
                hook = group.sides[0].hook
                if group.mechanism == "fentry" and hook.kind in ("function", "entry", "return"):
                    raise TrampolineRefused(hook, error) from None
                raise
        return made

    def _attach(self, group: Group, code: bytes) -> list[Placed]:
        """One program, which does the work of all the group's sides. Raises HostError."""
        first = group.sides[0]
        try:
            program = load_side(first, group.mechanism, code, self._descriptors())
            self._programs.append(program)
            attachment = attach_side(first, group.mechanism, program, self.options)
        except (AttachError, ValueError, OSError) as error:
            finding = Finding(code="PP089", message=str(error), position=first.hook.position)
            raise HostError([finding]) from None
        return [Placed(side=side, program=program, attachment=attachment) for side in group.sides]

    def _take_away(self, attachment: Attachment) -> None:
        attachment.detach()
        for name in attachment.events:
            self.options.unjournal("event", name)

    # -- the run -------------------------------------------------------------------------------

    def arm(self, deadline_ns: int) -> None:
        """Let records and metrics flow until `deadline_ns`."""
        assert self._accounts is not None
        self._accounts.start(self._placed)
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
        assert self._accounts is not None
        hooks = [hook for probe in probes for hook in self.program.probes[probe].hooks]
        for number in {use.span for hook in hooks for use in hook.body.spans}:
            opened = self._maps[layout.span_map(self.program.spans[number])]
            gone = sum(opened.delete(key) for key in [key for key, _ in opened.items()])
            self._accounts.forgotten[number] += gone

    def _open_spans(self, span: SpanProgram) -> int | None:
        """What the map holds, which proves the accounts once they stand still; before that, a
        million of them would be counted at each look."""
        if self._armed:
            return None
        opened = self._maps[layout.span_map(span)]
        return len(opened.values()) // opened.value_bytes

    # -- what it costs -------------------------------------------------------------------------

    @property
    def samplable(self) -> Collection[int]:
        """Probes that are no later part of a span."""
        return {probe.index for probe in self.program.probes if probe.samplable}

    def measure(self, on: bool) -> None:
        """Have the kernel measure run times, or no longer. Raises OSError."""
        if on:
            self._run_time.on()
        else:
            self._run_time.off()

    def expenses(self) -> Sequence[Expense]:
        """One for each program that is attached."""
        assert self._accounts is not None
        rows = self._accounts.reader.rows()
        return [self._expense(sides, rows) for sides in _by_program(self._placed)]

    def _expense(self, sides: Sequence[Placed], rows: Sequence[Rows]) -> Expense:
        assert self._accounts is not None
        first = sides[0]
        told = bpf.program_statistics(first.program)
        price = self._prices[price_kind_of(first.side, first.attachment.mechanism)]
        return Expense(
            number=first.side.index,
            probes=tuple(dict.fromkeys(one.side.hook.probe for one in sides)),
            hits=self._accounts.fired(rows[first.side.index]),
            price_ns=price.ns,
            calibrated=price.calibrated,
            run_ns=told.run_time_ns,
            runs=told.run_count,
            idle_ns=price.run_ns,
        )

    def resample(self, probe: int, every: int) -> None:
        """One word that all programs look at: each CPU then draws a first gap by itself."""
        self._control[self.detail.layout.probe_word(probe, "sample")] = every

    def drop(self, probe: int) -> None:
        """Off by the fuse at once; then what serves no other probe is taken away."""
        assert self._accounts is not None
        self._dropped.add(probe)
        self._enable()
        gone = [
            one
            for sides in _by_program(self._placed)
            if all(side.side.hook.probe in self._dropped for side in sides)
            for one in sides
        ]
        self._accounts.leave(gone)
        self._placed = [one for one in self._placed if one not in gone]
        programs = {one.program for one in gone}
        self._programs = [one for one in self._programs if one not in programs]
        with contextlib.ExitStack() as undoing:
            for program in programs:
                undoing.callback(os.close, program)
            for attachment in _distinct(gone):
                undoing.callback(self._take_away, attachment)

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

    def release(self) -> None:
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
        """All cells by metric index, as of now."""
        if self._final_metrics is not None:
            return self._final_metrics
        assert self._accounts is not None
        lay = self.detail.layout
        rows, fed = self._accounts.reader.rows(), self._accounts.feeds
        return {
            spec.index: MetricReader(lay, spec, self._maps, fed[spec.index]).cells(rows)
            for spec in self.program.metrics
        }

    def new_stacks(self, numbers: Collection[int] | None = None) -> Sequence[Stack]:
        """Stacks with these numbers, or all, that were not asked for before; none once all is
        detached."""
        return self._stacks.new(numbers) if self._stacks is not None and self._maps else ()

    def _stack_counts(self) -> StackCounts | None:
        return None if self._stacks is None else self._stacks.counts()

    def opened(self, span: int) -> Opened:
        """The open spans of one kind, as of now; after `detach`, as of then."""
        if (found := self._final_opened.get(span)) is not None:
            return found
        one = self.program.spans[span]
        return opened_of(one, self._maps[layout.span_map(one)].values())

    def counts(self) -> Counts:
        """All counters as of now."""
        assert self._accounts is not None
        return self._accounts.counts(self._placed)

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
        if self._accounts is not None and self._final_metrics is None:
            self._final_metrics = self.metrics()
            self._final_opened = {one.index: self.opened(one.index) for one in self.program.spans}
            self._accounts.finish(self._placed)
        attachments = [*self._followers, *_distinct(self._placed)]
        programs = self._programs
        self._placed, self._followers, self._programs = [], [], []
        with contextlib.ExitStack() as undoing:  # goes on after an error, and raises it at its end
            undoing.callback(self._close_maps)
            for program in programs:
                undoing.callback(os.close, program)
            for attachment in attachments:
                undoing.callback(self._take_away, attachment)
            undoing.callback(close_together, attachments)

    def _close_maps(self) -> None:
        """Unmap and close; a map that a program still holds goes with the program."""
        if self._ring is not None:
            self._ring.close()
            self._ring = None
        for view in self._views:
            view.release()
        for made in self._maps.values():
            made.close()
        self._views, self._maps = [], {}


def _measured(kind: str) -> tuple[float, float] | None:
    from orchestrator.backends.bcc.calibration import measure  # at first use on a host only

    return measure(kind)


def _by_program(placed: Sequence[Placed]) -> list[list[Placed]]:
    """Sides by the program that does their work."""
    found: dict[int, list[Placed]] = {}
    for one in placed:
        found.setdefault(one.program, []).append(one)
    return list(found.values())


def _distinct(placed: Sequence[Placed]) -> list[Attachment]:
    """The attachments, each once: several sides may be one program."""
    return list({id(one.attachment): one.attachment for one in placed}.values())


def _target(hook: Hook) -> str:
    """What a hook is attached to, by the kernel's or the binary's name for it."""
    if hook.path:
        return f"{hook.path}:{hook.symbol or hex(hook.file_offset)}"
    if hook.tracepoint is not None:
        return f"{hook.tracepoint.category}:{hook.tracepoint.event}"
    return hook.symbol or hook.event or hook.label


def _in_time_order(batch: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
    """Records lie in the order in which they were reserved; their stamps are a little older."""
    import numpy as np

    stamps = batch[:, :8].view(np.uint64)[:, 0]
    if (stamps[1:] >= stamps[:-1]).all():
        return batch
    ordered: NDArray[np.uint8] = batch[np.argsort(stamps, kind="stable")]
    return ordered
