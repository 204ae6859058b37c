"""The layout of the maps that programs and reader share.

The C structures and the reader's offsets both come from here. All words are u64 in the machine's
byte order.
"""

import os
from functools import cached_property

from orchestrator.compile.body_nodes import needs_stacks
from orchestrator.compile.expressions.types import size_of
from orchestrator.compile.program import Hook, MetricSpec, NoteProgram, Program, SpanProgram
from orchestrator.kernel.tracepoints import Tracepoint
from orchestrator.values import dataclass

# Placeholders of maps in the C; metrics have two each (layout.keyed_map, layout.dense_map).
CONTROL, SHARED, LEDGER, RING, OPEN, BLANK, TASKS, CALLERS, CGROUPS = range(1, 10)
STACKS, STACK_SCRATCH, STACK_COUNTS = range(50, 53)
FIRST_KEYED = 1000
FIRST_DENSE = 5000
FIRST_SPAN = 9000
FIRST_NOTE = 9200
FIRST_SPAN_BLANK = 9500
FIRST_NOTE_BLANK = 9700
FIRST_ONCE = 9800

#: Counters of one side of a hook on one CPU. fired = entered + expired; `late` events entered
#: before the deadline and were judged after it.
LEDGER_WORDS = (
    "happened",  # as the witness of a perf tracepoint saw; before `entered`, as it is read first
    "entered",
    "expired",
    "late",
    "not_target",
    "filtered",
    "sampled_out",
    "unpaired",
    "map_full",
    "too_deep",
    "accepted",
    "rate_limited",
    "over_cap",
    "ring_lost",
    "recorded",
    "keys_full",  # of records that are made once by key
    "faulted",
    "truncated",
    "division_by_zero",
    "tick",  # jiffies at this CPU's last look at the deadline
    "gap",  # events until the next sample
    "weight",  # the N that the gap was drawn with; 0: not drawn yet
    # of an entry, calls that were accepted and did not return (accounting.vocabulary.CALL_FATES):
    "abandoned",
    "execed",
    "exited",
    "at_bound",  # of a user function's return: so deep that the kernel may not show deeper ones
    # only in a span's element, which also has not_target, filtered, map_full, accepted and
    # the words of records:
    "started",
    "ended",
    "cancelled",
    "replaced",
    "repeated",  # started again while open, and `again: keep`; of a probe, by `once`
    "no_start",
    "raced",  # judged at an end, but ended by another CPU in the meantime
)
#: Counters of a note on one CPU, which are all of its element. `absent`: drops of what was not
#: kept. `repeated`: set again and left as it was, under `once`.
NOTE_WORDS = (
    *("set", "replaced", "repeated", "full"),
    *("dropped", "absent", "found", "missed", "faulted"),
)
#: Then, for every metric that the hook feeds (implied_counts.py says where `counted` stays 0).
#: count and value are the cell `other`. Of a metric without a key, value is the value of its only
#: cell, and count is the extra weight of its events, by sampling. `high` is of
#: sums (cells/sums.py), and comes before value, so that it is read first: it never knows of more.
METRIC_WORDS = ("counted", "filtered", "map_full", "map_busy", "count", "high", "value")
#: The kinds of metrics that add values up.
SUMS = ("sum", "avg")
PROBE_WORDS = ("sample", "cap", "rate_gap", "rate_burst", "epoch")
#: `counting`: not 0 for a canary, whose programs only count. It is in the first line, with what
#: every event reads.
PLAN_WORDS = ("deadline", "self", "counting", "cap", "rate_gap", "rate_burst")

LINE_WORDS = 8  # a separate cache line for each word that all CPUs write
FRAME_HEAD_BYTES = 24  # struct pp_frame
NOTE_HEAD_BYTES = 16  # what is null or was cut, and whether the values are there
CALL_HEAD_BYTES = 48  # struct pp_opened: a call's frame
CALL_KEY_BYTES = 24  # struct pp_call
CALLER_BYTES = 16  # struct pp_caller
STACK_FRAME_BYTES = 160  # larger frames are filled in the map and not on the BPF stack of 512 bytes
OPEN_ENTRIES = 10_240
#: Tasks that have made a call. When there are more, the kernel forgets one that made none for long;
#: then only its end does not drop what it left open.
CALLER_ENTRIES = 16_384
TASK_ENTRIES = 16_384
#: What a task's number is in the map of the target's tasks for: a followed thread; a thread or a
#: process that the target names; `awaited`: such a one does not exist yet.
#: `left_out`: a thread of a process that is left out with its children.
NUMBER_BITS = {"followed": 1, "thread": 2, "process": 4, "awaited": 8, "left_out": 16}
#: Cgroups that match the target's patterns at once, and what each is in the map for. Another key
#: counts those for which there was no room.
CGROUP_ENTRIES = 8192
CGROUP_BITS = {"target": 1, "left_out": 2}
LOST_CGROUPS = (1 << 64) - 1
#: Bytes of a path that a program has on its stack to compare.
LONGEST_PATTERN = 256
SPARE_TASKS = 16  # numbers that are changing hands
SPARSE_BUCKETS_PER_KEY = 32
#: Counters of the map of stacks: kept, map full, no scratch memory or lock available.
STACK_WORDS = ("kept", "map_full", "map_busy")
#: Words for the addresses of a stack. The kernel's default bound is 127 frames
#: (kernel.perf_event_max_stack); fewer where limits.memory would hold too few stacks.
STACK_SIZES = (128, 64, 32)
ENOUGH_STACKS, FEWEST_STACKS, MOST_STACKS = 4096, 16, 65_536
STACK_SHARE = 4  # the part of limits.memory that stacks may take: a fourth
STACK_HEAD_BYTES = 8
#: The most frames between a probed place and the program there, by what the program is given: they
#: are kept in addition to those that a plan wants, and not shown (symbols/machinery.py).
MACHINERY_FRAMES = {"registers": 0, "record": 6, "arguments": 8}
STACK_NESTING = 4  # task, softirq, interrupt and NMI can each be at work on one CPU
SPAN_DEPTH = 8  # spans of one key that are open at once under `again: nest`
WORD = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class HookSide:
    """One side of a hook: `index` is its element in the ledger. `by_other`: the returns of its
    calls that come by another call's exit (Hook.other_exit), which are counted with the others."""

    index: int
    hook: Hook
    name: str
    by_other: bool = False

    @property
    def function(self) -> str:
        """The C function's name."""
        return f"hook_{self.hook.id}_{self.name}"

    @property
    def tracepoint(self) -> Tracepoint | None:
        """The tracepoint that shows it; None where a side is at no tracepoint."""
        if self.by_other:
            return self.hook.other_exit
        return self.hook.exit_tracepoint if self.name == "return" else self.hook.tracepoint


class MapLayout:
    """Offsets and sizes for one program."""

    #: The arguments by which a kept one is made again (run/warm/coding.py).
    made_from = ("program", "can_follow", "can_follow_cgroups")

    def __init__(
        self, program: Program, *, can_follow: bool = True, can_follow_cgroups: bool = False
    ) -> None:
        """`can_follow`: this kernel shows where tasks fork, exec and end; `can_follow_cgroups`:
        where cgroups are made and released."""
        self.program, target = program, program.target
        self.can_follow, self.can_follow_cgroups = can_follow, can_follow_cgroups
        named = len(target.pid) + len(target.tid)
        #: Whether the numbers of the target's tasks are kept in a map, and how many it holds.
        descends = target.children or target.left_out.children
        self.follows_numbers = descends or (can_follow and named > 0)
        self.task_entries = TASK_ENTRIES if descends else 2 * named + SPARE_TASKS
        #: The target's patterns of cgroups with their roles, and whether new cgroups are followed.
        self.cgroup_patterns = [("target", pattern) for pattern in target.patterns]
        self.cgroup_patterns += [("left_out", pattern) for pattern in target.left_out.patterns]
        longest = max((len(os.fsencode(one)) for _, one in self.cgroup_patterns), default=0)
        self.follows_cgroups = can_follow_cgroups and 0 < longest <= LONGEST_PATTERN
        pairs = [(hook, side) for hook in program.hooks for side in hook.sides]
        self.sides = tuple(
            HookSide(index=index, hook=hook, name=name) for index, (hook, name) in enumerate(pairs)
        )

    # -- control element -----------------------------------------------------------------------

    @cached_property
    def enabled_words(self) -> int:
        """Words that hold one bit per probe."""
        return max(1, -(-len(self.program.probes) // 64))

    def plan_word(self, name: str) -> int:
        """Index of a plan-wide word in the control element."""
        return self.enabled_words + PLAN_WORDS.index(name)

    def probe_word(self, probe: int, name: str) -> int:
        """Index of a probe's word in the control element."""
        first = self.enabled_words + len(PLAN_WORDS)
        return first + probe * len(PROBE_WORDS) + PROBE_WORDS.index(name)

    def param_word(self, slot: int) -> int:
        """Index of a param in the control element."""
        return self.probe_word(len(self.program.probes), PROBE_WORDS[0]) + slot

    @cached_property
    def param_count(self) -> int:
        """How many param slots there are."""
        return max((param.slot + 1 for param in self.program.params), default=0)

    @property
    def control_bytes(self) -> int:
        """Size of the control element."""
        return self.param_word(self.param_count) * WORD

    # -- shared element ------------------------------------------------------------------------

    @property
    def shared_bytes(self) -> int:
        """Lines: the plan's rate word and emitted count, then the same for each probe."""
        return (2 + 2 * len(self.program.probes)) * LINE_WORDS * WORD

    @staticmethod
    def rate_line(probe: int | None) -> int:
        """The line of a rate word: the plan's (None) or a probe's."""
        return 0 if probe is None else 2 + 2 * probe

    @staticmethod
    def emitted_line(probe: int | None) -> int:
        """The line of the count of records taken: the plan's (None) or a probe's."""
        return MapLayout.rate_line(probe) + 1

    # -- ledger --------------------------------------------------------------------------------

    @property
    def children_element(self) -> int:
        """The ledger's element that counts children for which the task map was full."""
        return len(self.sides)

    def span_element(self, span: int) -> int:
        """The ledger's element of a span; its metrics are numbered as in SpanProgram.metrics."""
        return len(self.sides) + 1 + span

    def note_element(self, note: int) -> int:
        """The ledger's element of a note, whose words are NOTE_WORDS."""
        return self.span_element(len(self.program.spans)) + note

    @property
    def elements(self) -> int:
        """How many elements the ledger has."""
        return self.note_element(len(self.program.notes))

    @cached_property
    def metric_uses(self) -> int:
        """The largest number of metrics that one hook or span feeds."""
        counts = [len(hook.body.metrics) for hook in self.program.hooks]
        return max([*counts, *(len(span.metrics) for span in self.program.spans)], default=0)

    @property
    def ledger_bytes(self) -> int:
        """Size of one side's element on one CPU."""
        return (len(LEDGER_WORDS) + self.metric_uses * len(METRIC_WORDS)) * WORD

    @staticmethod
    def ledger_word(name: str) -> int:
        """Index of a counter in a ledger element."""
        return LEDGER_WORDS.index(name)

    @staticmethod
    def metric_word(use: int, name: str) -> int:
        """Index of a counter of the hook's metric number `use`."""
        return len(LEDGER_WORDS) + use * len(METRIC_WORDS) + METRIC_WORDS.index(name)

    # -- stacks --------------------------------------------------------------------------------

    @cached_property
    def stack_depth(self) -> int:
        """Maximum frames of a stack, one word each; 0 when no hook takes stacks."""
        if not any(needs_stacks(hook.body) for hook in self.program.hooks):
            return 0
        return next(
            (n for n in STACK_SIZES if self._stacks_of(n) >= ENOUGH_STACKS), STACK_SIZES[-1]
        )

    @property
    def stack_entries(self) -> int:
        """How many different stacks the map can hold."""
        return min(max(self._stacks_of(self.stack_depth), FEWEST_STACKS), MOST_STACKS)

    def _stacks_of(self, depth: int) -> int:
        overhead = 80  # struct htab_elem, key and buckets (memory.py)
        return self.program.limits.memory // STACK_SHARE // (stack_bytes(depth) + overhead)

    # -- frames of paired hooks ----------------------------------------------------------------

    @cached_property
    def frame_bytes(self) -> int:
        """Size of the largest frame, 0 when no hook is paired."""
        return max((frame_bytes(hook) for hook in self.program.hooks if hook.paired), default=0)

    @property
    def frames_on_stack(self) -> bool:
        """Whether a frame is built on the BPF stack and copied into the map."""
        return self.frame_bytes <= STACK_FRAME_BYTES


def span_map(span: SpanProgram) -> int:
    """Placeholder of the hash of open spans."""
    return FIRST_SPAN + span.index


def span_blank(span: SpanProgram) -> int:
    """Placeholder of the blank that a span too large for the BPF stack is copied from."""
    return FIRST_SPAN_BLANK + span.index


def once_map(probe: int) -> int:
    """Placeholder of the hash of keys of which a record was made, each with its time."""
    return FIRST_ONCE + probe


def span_key_bytes(span: SpanProgram) -> int:
    """Size of the hash's key: under `again: nest` it ends with the depth."""
    return span.key_size + (WORD if span.again == "nest" else 0)


def span_bytes(span: SpanProgram) -> int:
    """Size of an open span: the head of a frame, then every kept value, aligned to 8 bytes."""
    return FRAME_HEAD_BYTES + sum(pad_to_word(kept.size) for kept in span.kept)


def note_map(note: NoteProgram) -> int:
    """Placeholder of the hash of what a note keeps."""
    return FIRST_NOTE + note.index


def note_blank(note: NoteProgram) -> int:
    """Placeholder of the blank that values too large for the BPF stack are copied from."""
    return FIRST_NOTE_BLANK + note.index


def note_bytes(note: NoteProgram) -> int:
    """Size of what a note keeps by one key: a head, then every value, aligned to 8 bytes."""
    return NOTE_HEAD_BYTES + sum(pad_to_word(kept.size) for kept in note.kept)


def frame_bytes(hook: Hook) -> int:
    """Size of a paired hook's frame: the head, then every capture, aligned to 8 bytes."""
    assert hook.body.entry is not None
    sizes = (size_of(node.type) for node in hook.body.entry.captures)
    return CALL_HEAD_BYTES + sum(pad_to_word(size) for size in sizes)


def stack_bytes(depth: int) -> int:
    """Size of struct pp_stack with room for `depth` frames."""
    return STACK_HEAD_BYTES + depth * WORD


def stack_place(hook: Hook) -> int:
    """What names the hook in a kernel stack that was taken at a trampoline; 0 is no such place."""
    return hook.id + 1


def pad_to_word(size: int) -> int:
    """`size` rounded up to whole words."""
    return -(-size // WORD) * WORD


# ---------------------------------------------------------------- metrics


def keyed_map(metric: MetricSpec) -> int:
    """Placeholder of the hash of a metric with a key."""
    return FIRST_KEYED + metric.index


def dense_map(metric: MetricSpec) -> int:
    """Placeholder of a histogram's per-CPU array of buckets (with a key: the cell `other`)."""
    return FIRST_DENSE + metric.index


def cell_bytes(metric: MetricSpec) -> int:
    """Size of a keyed cell: its count, and a value unless the metric is a count or a histogram; of
    a sum two words."""
    if metric.kind in ("count", "histogram"):
        return WORD
    return (3 if metric.kind in SUMS else 2) * WORD


def bucket_count(metric: MetricSpec) -> int:
    """Buckets of a histogram. Two more follow: index `count` counts values below the range, `count`
    + 1 values above it."""
    return metric.buckets.count


def hash_key_bytes(metric: MetricSpec) -> int:
    """Size of the hash's key; a histogram's ends with the bucket."""
    return metric.key_size + (WORD if metric.kind == "histogram" else 0)


def hash_entries(metric: MetricSpec) -> int:
    """Entries of the hash: keys, or for histograms (key, bucket) pairs. A key rarely fills more
    than two octaves of buckets; what finds the map full goes to `other` and is counted."""
    return metric.keys * (SPARSE_BUCKETS_PER_KEY if metric.kind == "histogram" else 1)


def initial_extreme(metric: MetricSpec) -> int:
    """The initial value of a min or max, as u64 bits: every other value replaces it."""
    if metric.kind == "min":
        return (1 << 63) - 1 if metric.signed else (1 << 64) - 1
    if metric.kind == "max":
        return 1 << 63 if metric.signed else 0
    return 0
