"""From a program to a layout: which events a plan needs, what they fetch, what the kernel filters.

Never raises. What cannot be done is reported as findings of two kinds: `missing` cannot be done
here at all, and `in_user_space` is acceptable only to a user who named this backend.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace

from orchestrator.backends.tracefs.design.event_fields import STACK_STEP, EventFields
from orchestrator.backends.tracefs.design.filters import comm_filter, filter_text, join_filters
from orchestrator.backends.tracefs.design.hist_offload import counted_in_kernel
from orchestrator.backends.tracefs.design.hist_triggers import table_bytes
from orchestrator.backends.tracefs.design.layout import (
    EventLayout,
    EventSide,
    EventSource,
    HistUse,
    HookEvents,
    SideName,
)
from orchestrator.backends.tracefs.design.node_label import hint_for, label_node
from orchestrator.backends.tracefs.design.nodes import (
    Change,
    change_metric_use,
    make_expander,
    nodes_of,
    split_conjuncts,
)
from orchestrator.backends.tracefs.design.sources import Sources, settle_source
from orchestrator.compile.expressions.nodes import Captured, Node, ReadString, transform, walk
from orchestrator.compile.program import Hook, ProbeProgram, Program
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.tracepoints import Tracepoint
from orchestrator.plan.attach_kinds import AttachKind
from orchestrator.plan.findings import Finding
from orchestrator.values import dataclass

__all__ = ["NEW_BUFFER_KB", "LoweredProgram", "lower_program"]

_PAGE = 4096
_LEAST_KB = 16
#: Per CPU, of a new instance (kernel/trace/trace.c, TRACE_BUF_SIZE_DEFAULT). Another size takes 5
#: to 20 ms to set (measured), since the kernel waits for a grace period. It is enough for 10,000
#: forks and execs between two reads.
NEW_BUFFER_KB = 1408
#: What no trace event says of its task, and what only user space leaves out.
_UNTESTED = ("cgroup", "exe", "pidns")
_LEFT_OUT_LATER = ("pid", "tid", "uid", "comm")
_EXEC = ("execve", "execveat", "prctl")  # these calls change the name that a filter would test

#: The kinds that tracefs can attach, and the feature that each needs; None: tracefs itself.
_NEEDS: Mapping[AttachKind, str | None] = {
    "function": "kprobe_events",
    "entry": "kprobe_events",
    "kprobe": "kprobe_events",
    "kretprobe": "kprobe_events",
    "syscall": "syscall_tracepoints",
    "tracepoint": None,
    "ufunction": "uprobe_events",
    "uprobe": "uprobe_events",
    "uretprobe": "uprobe_events",
}


@dataclass(slots=True)
class LoweredProgram:
    """A layout, and the findings against it."""

    layout: EventLayout
    missing: list[Finding] = field(default_factory=list)
    in_user_space: list[Finding] = field(default_factory=list)


def lower_program(program: Program, facts: KernelFacts) -> LoweredProgram:
    """Lay out `program` for the kernel of `facts`."""
    return _LayoutBuilder(program, facts).lower()


class _LayoutBuilder:
    """Collects the events that the hooks need, and the findings."""

    def __init__(self, program: Program, facts: KernelFacts) -> None:
        self.program, self.facts = program, facts
        self.sources = Sources(program.arch, facts)
        self.missing: list[Finding] = []
        self.user_space: list[Finding] = []
        self.shared = self._shared_tracepoints()
        self.comm = comm_filter(program.target.comm) if program.target.comm else None
        tasks = [hook.body.task for hook in program.hooks]
        self.by_pid = bool(program.target.pid or program.target.tid or program.target.children)
        self.by_pid = self.by_pid and all(task is None for task in tasks)

    def lower(self) -> LoweredProgram:
        self._check_target()
        hooks = [
            hook_events
            for probe in self.program.probes
            for hook in probe.hooks
            if (hook_events := self._lower_hook(probe, hook)) is not None
        ]
        sources = tuple(settle_source(draft, self.comm) for draft in self.sources.drafts.values())
        self._check_comm(hooks, sources)
        hooks, hists = counted_in_kernel(self.program, self.facts, hooks, sources)
        layout = EventLayout(
            sources=sources,
            hooks=tuple(hooks),
            hists=hists,
            buffer_kb=self._buffer_kb(hooks, hists),
            task_buffer_kb=self._task_buffer_kb(hooks, hists),
            by_pid=self.by_pid,
            stack_step=STACK_STEP.get(self.program.arch, 0),
        )
        return LoweredProgram(layout, self.missing, self.user_space)

    def _buffer_kb(self, hooks: Sequence[HookEvents], hists: Sequence[HistUse]) -> int:
        """Each CPU's share of limits.memory, less the reader's page and spare pages."""
        if all(hook.counted for hook in hooks):
            return _LEAST_KB
        return max(_LEAST_KB, self._share_kb(hists) - self._task_buffer_kb(hooks, hists))

    def _task_buffer_kb(self, hooks: Sequence[HookEvents], hists: Sequence[HistUse]) -> int:
        """As much as a new instance has, but no more than an eighth of the share; none where
        the kernel counts all events."""
        if all(hook.counted for hook in hooks):
            return 0
        return max(_LEAST_KB, min(NEW_BUFFER_KB, self._share_kb(hists) // 8))

    def _share_kb(self, hists: Sequence[HistUse]) -> int:
        left = self.program.limits.memory - sum(map(table_bytes, hists))
        return (left // max(1, self.facts.possible_cpus) - 3 * _PAGE) // 1024

    def _shared_tracepoints(self) -> frozenset[str]:
        """Tracepoints of several hooks, and several of one side. They get no filter, since an event
        has only one."""
        names = [
            f"{point.category}/{point.event}"
            for hook in self.program.hooks
            for point in (hook.tracepoint, hook.exit_tracepoint, *_both_exits(hook))
            if point is not None
        ]
        return frozenset(name for name in names if names.count(name) > 1)

    # ---------------------------------------------------------------- hooks

    def _lower_hook(self, probe: ProbeProgram, hook: Hook) -> HookEvents | None:
        before = len(self.missing)
        if not self._can_attach(hook):
            return None
        hook_events = self._lower_pair(probe, hook) if hook.paired else self._lower_hit(probe, hook)
        if probe.sample > 1:
            self._add_user_space(
                hook, f"sampling 1/{probe.sample} is done after the kernel has recorded everything"
            )
        return hook_events if len(self.missing) == before else None

    def _can_attach(self, hook: Hook) -> bool:
        if hook.kind not in _NEEDS:
            self._add_missing(
                hook, f"tracefs cannot attach {hook.kind} probes", "use --backend bcc"
            )
            return False
        if hook.body.once:
            self._add_missing(
                hook, "tracefs cannot make records once by key (`once`)", "use --backend bcc"
            )
            return False
        feature = _NEEDS[hook.kind]
        if feature is not None and self.facts.feature(feature).state == "no":
            self._add_missing(
                hook,
                f"this kernel offers no {hook.kind} probes through tracefs",
                self.facts.feature(feature).detail,
            )
            return False
        if hook.body.task not in (None, "none"):
            self._add_missing(
                hook, "tracefs cannot read another task (`task:`)", "use --backend bcc"
            )
            return False
        return True

    def _lower_hit(self, probe: ProbeProgram, hook: Hook) -> HookEvents:
        change = make_expander(hook.body.lets, self.program.params)
        emit = tuple(map(change, hook.body.emit))
        metrics = tuple(change_metric_use(use, change) for use in hook.body.metrics)
        where = [change(node) for node in hook.body.where]
        needed = [*where, *emit, *nodes_of(metrics)]
        key, fields = self.sources.source_of_side(hook, "hit", needed)
        self._require_leaves(hook, fields, needed)
        side = self._split_conditions(hook, "hit", key, where)
        return HookEvents(
            hook=hook,
            probe=probe.index,
            sides=(side,),
            captures=(),
            emit=emit,
            metrics=metrics,
            record=probe.emit,
            sample=probe.sample,
        )

    def _lower_pair(self, probe: ProbeProgram, hook: Hook) -> HookEvents:
        body, entry = hook.body, hook.body.entry
        assert entry is not None
        change = make_expander(body.lets, self.program.params)
        captures, before = list(map(change, entry.captures)), list(map(change, entry.where))
        at_return = self._read_early(hook, change, captures)
        emit = tuple(map(at_return, body.emit))
        metrics = tuple(change_metric_use(use, at_return) for use in body.metrics)
        where = [at_return(node) for node in body.where]
        first, fields = self.sources.source_of_side(hook, "entry", [*before, *captures])
        self._require_leaves(hook, fields, [*before, *captures])
        second, later = self.sources.source_of_side(hook, "return", ())
        self._require_leaves(hook, later, [*where, *emit, *nodes_of(metrics)])
        at_entry, at_exit = self._split_pair(hook, (first, second), before, where)
        sides = (at_entry, replace(at_exit, other=self._other_source(hook)))
        return HookEvents(
            hook=hook,
            probe=probe.index,
            sides=sides,
            captures=tuple(captures),
            emit=emit,
            metrics=metrics,
            record=probe.emit,
            sample=probe.sample,
            nested=hook.traits.site != "system call",
        )

    def _read_early(self, hook: Hook, change: Change, captures: list[Node]) -> Change:
        """Strings behind arguments, which the language reads at the return, are captured at the
        entry: an event at a return cannot read memory through an argument of the entry."""

        def moved(node: Node) -> Node:
            match node:
                case ReadString(pointer=Captured(index=index), length=None):
                    early = replace(node, pointer=captures[index])
                    if early not in captures:
                        captures.append(early)
                        self._add_user_space(
                            hook,
                            "a string is read at the entry: null where it is not in memory yet",
                        )
                    return Captured(captures.index(early), node.type)
                case _:
                    return node

        return lambda node: transform(change(node), moved)

    def _split_pair(
        self, hook: Hook, keys: tuple[str, str], before: Sequence[Node], where: Sequence[Node]
    ) -> tuple[EventSide, EventSide]:
        """The same for a pair. User space has to see every entry where it may not see the return of
        a call that it saw begin: of a user function that is left by a jump, or where a filter
        rejects the return. It would take the next return for that call's otherwise."""
        if before and hook.traits.space == "user":
            entry = self._test_later(hook, "entry", keys[0], before)
        else:
            entry = self._split_conditions(hook, "entry", keys[0], before)
        split = self._test_later if entry.pushed and where else self._split_conditions
        return entry, split(hook, "return", keys[1], where)

    def _other_source(self, hook: Hook) -> int | None:
        """The event by which calls of `hook` may return instead."""
        if hook.other_exit is None:
            return None
        key = self.sources.share_exit(hook.other_exit)
        return list(self.sources.drafts).index(key)

    def _test_later(self, hook: Hook, name: SideName, key: str, where: Sequence[Node]) -> EventSide:
        """All conditions in user space."""
        message = f"conditions on the {name} are tested in user space, or calls would be mixed up"
        self._add_user_space(hook, message)
        side = self._split_conditions(hook, name, key, ())
        return replace(side, where=tuple(split_conjuncts(where)))

    def _split_conditions(
        self, hook: Hook, name: SideName, key: str, where: Sequence[Node]
    ) -> EventSide:
        """Split the conditions into those that the kernel tests and those that user space tests."""
        draft = self.sources.drafts[key]
        pushed: list[Node] = []
        texts: list[str] = []
        rest: list[Node] = []
        for node in split_conjuncts(where):
            text = None if key in self.shared else filter_text(node, draft.fields.field_of)
            reads = any(part in draft.fields.unchecked_reads for part in walk(node))
            if text is not None:
                pushed.append(node)
                texts.append(text)
            if text is None or reads:  # a failed read leaves garbage, so it is tested again
                rest.append(node)
            if text is None:
                self._add_user_space(hook, "a condition cannot be expressed as a tracefs filter")
        self._push_comm(hook, texts)
        draft.wishes.append(join_filters(texts) if texts else None)
        return EventSide(
            name=name,
            source=list(self.sources.drafts).index(key),
            pushed=tuple(pushed),
            where=tuple(rest),
        )

    def _push_comm(self, hook: Hook, texts: list[str]) -> None:
        if self.comm is not None and self._kernel_comm(hook):
            texts.insert(0, self.comm)

    def _kernel_comm(self, hook: Hook) -> bool:
        """Whether the kernel tests the task's name for this hook: not where another hook tests
        another task, and not around calls that change the name."""
        mixed = {other.body.task for other in self.program.hooks} - {None}
        return hook.body.task is None and not mixed and not hook.label.endswith(_EXEC)

    def _require_leaves(self, hook: Hook, fields: EventFields, nodes: Iterable[Node]) -> None:
        for leaf in dict.fromkeys(fields.missing_leaves(nodes)):
            self._add_missing(hook, f"tracefs cannot fetch {label_node(leaf)} here", hint_for(leaf))

    def _check_target(self) -> None:
        target, others = self.program.target, self.program.target.left_out
        untested = {f"target.{key}": getattr(target, key) for key in _UNTESTED}
        untested |= {f"target.not.{key}": getattr(others, key) for key in (*_UNTESTED, "children")}
        self.missing += [
            Finding(
                code="PP110",
                message=f"tracefs cannot test {name}",
                hint="use --backend bcc, or name processes by target.pid or target.comm",
            )
            for name, wanted in untested.items()
            if wanted
        ]
        tests = [("target.uid", bool(target.uid))]
        tests += [(f"target.not.{key}", bool(getattr(others, key))) for key in _LEFT_OUT_LATER]
        tests += [("target.pid", bool(target.pid or target.tid) and not self.by_pid)]
        self.user_space += [
            Finding(
                code="PP112",
                message=f"{name} would be tested in user space",
                hint="name --backend tracefs to accept that, or use bcc",
            )
            for name, wanted in tests
            if wanted
        ]

    def _check_comm(self, hooks: Iterable[HookEvents], sources: Sequence[EventSource]) -> None:
        for hook_events in hooks:
            wanted = self.program.target.comm and hook_events.hook.body.task is None
            if wanted and not sources[hook_events.sides[0].source].tests_comm:
                self._add_user_space(hook_events.hook, "target.comm is tested in user space")

    def _add_missing(self, hook: Hook, message: str, hint: str) -> None:
        finding = Finding(
            code="PP110", message=f"{hook.label}: {message}", hint=hint, position=hook.position
        )
        if finding not in self.missing:
            self.missing.append(finding)

    def _add_user_space(self, hook: Hook, message: str) -> None:
        finding = Finding(
            code="PP112",
            message=f"{hook.label}: {message}",
            position=hook.position,
            hint="name --backend tracefs to have it done in user space, or use bcc",
        )
        if finding not in self.user_space:
            self.user_space.append(finding)


def _both_exits(hook: Hook) -> tuple[Tracepoint, ...]:
    """Both exits of a call that may return by another one's, so often that they count as shared."""
    if hook.other_exit is None or hook.exit_tracepoint is None:
        return ()
    return (hook.exit_tracepoint, hook.other_exit, hook.other_exit)
