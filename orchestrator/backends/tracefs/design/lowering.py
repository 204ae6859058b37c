"""Program to layout: which events answer a plan, what they fetch, what the kernel filters.

Never raises: what cannot be done is told as findings, of two kinds: `missing`, which nobody can
do here, and `in_user_space`, which only a user who named this backend may want.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestrator.backends.tracefs.design.event_fields import STACK_STEP, Leaves
from orchestrator.backends.tracefs.design.filters import comm_filter, filter_text, joined
from orchestrator.backends.tracefs.design.hist import memory
from orchestrator.backends.tracefs.design.hist_offload import counted_in_kernel
from orchestrator.backends.tracefs.design.layout import (
    HistUse,
    HookEvents,
    Layout,
    Side,
    SideName,
    Source,
)
from orchestrator.backends.tracefs.design.node_label import describe, hint_for
from orchestrator.backends.tracefs.design.nodes import (
    Change,
    changed,
    conjuncts,
    expander,
    nodes_of,
)
from orchestrator.backends.tracefs.design.sources import Sources, settled
from orchestrator.compile.expressions.nodes import Captured, Node, ReadString, transform, walk
from orchestrator.compile.program import Hook, ProbeProgram, Program
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.attach_kinds import AttachKind
from orchestrator.plan.findings import Finding

__all__ = ["Placed", "place"]

_PAGE = 4096
_LEAST_KB = 16
_EXEC = ("execve", "execveat", "prctl")  # their callers change the name that a filter would test

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
class Placed:
    """A layout, and what stands in its way."""

    layout: Layout
    missing: list[Finding] = field(default_factory=list)
    in_user_space: list[Finding] = field(default_factory=list)


def place(program: Program, facts: KernelFacts) -> Placed:
    """Lay out `program` for the kernel of `facts`."""
    return _Placing(program, facts).done()


class _Placing:
    """Goes through the hooks, gathering what they need of events, and findings."""

    def __init__(self, program: Program, facts: KernelFacts) -> None:
        self.program, self.facts = program, facts
        self.sources = Sources(program.arch, facts)
        self.missing: list[Finding] = []
        self.in_user: list[Finding] = []
        self.shared = self._shared_tracepoints()
        self.comm = comm_filter(program.target.comm) if program.target.comm else None
        tasks = [hook.body.task for hook in program.hooks]
        self.by_pid = bool(program.target.pid or program.target.tid or program.target.children)
        self.by_pid = self.by_pid and all(task is None for task in tasks)

    def done(self) -> Placed:
        self._check_target()
        hooks = [
            placed
            for probe in self.program.probes
            for hook in probe.hooks
            if (placed := self._hook(probe, hook)) is not None
        ]
        sources = tuple(settled(draft, self.comm) for draft in self.sources.drafts.values())
        self._check_comm(hooks, sources)
        hooks, hists = counted_in_kernel(self.program, self.facts, hooks, sources)
        layout = Layout(
            sources=sources,
            hooks=tuple(hooks),
            hists=hists,
            buffer_kb=self._buffer_kb(hooks, hists),
            by_pid=self.by_pid,
            stack_step=STACK_STEP.get(self.program.arch, 0),
        )
        return Placed(layout, self.missing, self.in_user)

    def _buffer_kb(self, hooks: Sequence[HookEvents], hists: Sequence[HistUse]) -> int:
        """Each CPU's share of the memory, less the reader's page and its spare."""
        if all(hook.counted for hook in hooks):
            return _LEAST_KB
        left = self.program.limits.memory - sum(map(memory, hists))
        share = left // max(1, self.facts.possible_cpus) - 3 * _PAGE
        return max(_LEAST_KB, share // 1024)

    def _shared_tracepoints(self) -> frozenset[str]:
        """Tracepoints that several hooks watch: one event has one filter."""
        names = [
            f"{point.category}/{point.event}"
            for hook in self.program.hooks
            for point in (hook.tracepoint, hook.exit_tracepoint)
            if point is not None
        ]
        return frozenset(name for name in names if names.count(name) > 1)

    # ---------------------------------------------------------------- hooks

    def _hook(self, probe: ProbeProgram, hook: Hook) -> HookEvents | None:
        before = len(self.missing)
        if not self._offered(hook):
            return None
        placed = self._paired(probe, hook) if hook.paired else self._single(probe, hook)
        if probe.sample > 1:
            self._user(hook, f"sampling 1/{probe.sample} is done after the kernel recorded all")
        return placed if len(self.missing) == before else None

    def _offered(self, hook: Hook) -> bool:
        if hook.kind not in _NEEDS:
            self._lacks(hook, f"tracefs cannot attach {hook.kind} probes", "--backend bcc can")
            return False
        feature = _NEEDS[hook.kind]
        if feature is not None and self.facts.feature(feature).state == "no":
            self._lacks(
                hook,
                f"this kernel offers no {hook.kind} probes through tracefs",
                self.facts.feature(feature).detail,
            )
            return False
        if hook.body.task not in (None, "none"):
            self._lacks(hook, "tracefs cannot look at another task (`task:`)", "--backend bcc can")
            return False
        return True

    def _single(self, probe: ProbeProgram, hook: Hook) -> HookEvents:
        change = expander(hook.body.lets, self.program.params)
        emit = tuple(map(change, hook.body.emit))
        metrics = tuple(changed(use, change) for use in hook.body.metrics)
        where = [change(node) for node in hook.body.where]
        needed = [*where, *emit, *nodes_of(metrics)]
        key, leaves = self.sources.of(hook, "hit", needed)
        self._need(hook, leaves, needed)
        side = self._side(hook, "hit", key, where)
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

    def _paired(self, probe: ProbeProgram, hook: Hook) -> HookEvents:
        body, entry = hook.body, hook.body.entry
        assert entry is not None
        change = expander(body.lets, self.program.params)
        captures, before = list(map(change, entry.captures)), list(map(change, entry.where))
        at_return = self._read_early(hook, change, captures)
        emit = tuple(map(at_return, body.emit))
        metrics = tuple(changed(use, at_return) for use in body.metrics)
        where = [at_return(node) for node in body.where]
        first, leaves = self.sources.of(hook, "entry", [*before, *captures])
        self._need(hook, leaves, [*before, *captures])
        second, later = self.sources.of(hook, "return", ())
        self._need(hook, later, [*where, *emit, *nodes_of(metrics)])
        sides = (
            self._side(hook, "entry", first, before),
            self._side(hook, "return", second, where),
        )
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
        entry: no event reads memory at a return through what was an argument."""

        def moved(node: Node) -> Node:
            match node:
                case ReadString(pointer=Captured(index=index)):
                    early = replace(node, pointer=captures[index])
                    if early not in captures:
                        captures.append(early)
                        self._user(
                            hook,
                            "a string is read at the entry: null where it is not in memory yet",
                        )
                    return Captured(captures.index(early), node.type)
                case _:
                    return node

        return lambda node: transform(change(node), moved)

    def _side(self, hook: Hook, name: SideName, key: str, where: Sequence[Node]) -> Side:
        """Split the conditions: what the kernel tests, and what is left."""
        draft = self.sources.drafts[key]
        pushed: list[Node] = []
        texts: list[str] = []
        rest: list[Node] = []
        for node in conjuncts(where):
            text = None if key in self.shared else filter_text(node, draft.leaves.field_of)
            reads = any(part in draft.leaves.reads for part in walk(node))
            if text is not None:
                pushed.append(node)
                texts.append(text)
            if text is None or reads:  # a failed read leaves garbage, which is looked at again
                rest.append(node)
            if text is None:
                self._user(hook, "a condition is more than tracefs filters can say")
        self._push_comm(hook, texts)
        draft.wishes.append(joined(texts) if texts else None)
        return Side(
            name=name,
            source=list(self.sources.drafts).index(key),
            pushed=tuple(pushed),
            where=tuple(rest),
        )

    def _push_comm(self, hook: Hook, texts: list[str]) -> None:
        if self.comm is not None and self._kernel_comm(hook):
            texts.insert(0, self.comm)

    def _kernel_comm(self, hook: Hook) -> bool:
        """Whether the kernel tests the task's name for this hook: not where others share its event
        and want another's, and not around calls that change the name."""
        mixed = {other.body.task for other in self.program.hooks} - {None}
        return hook.body.task is None and not mixed and not hook.label.endswith(_EXEC)

    def _need(self, hook: Hook, leaves: Leaves, nodes: Iterable[Node]) -> None:
        for leaf in dict.fromkeys(leaves.missing(nodes)):
            self._lacks(hook, f"tracefs cannot fetch {describe(leaf)} here", hint_for(leaf))

    def _check_target(self) -> None:
        target = self.program.target
        if target.cgroup:
            self.missing.append(
                Finding(
                    code="PP110",
                    message="tracefs cannot test target.cgroup",
                    hint="--backend bcc can, or name processes with target.pid or target.comm",
                )
            )
        told = [("target.uid", bool(target.uid))]
        told += [("target.pid", bool(target.pid or target.tid) and not self.by_pid)]
        self.in_user += [
            Finding(
                code="PP112",
                message=f"{name} would be tested by user space",
                hint="name --backend tracefs to accept that, or use bcc",
            )
            for name, wanted in told
            if wanted
        ]

    def _check_comm(self, hooks: Iterable[HookEvents], sources: Sequence[Source]) -> None:
        for placed in hooks:
            wanted = self.program.target.comm and placed.hook.body.task is None
            if wanted and not sources[placed.sides[0].source].tests_comm:
                self._user(placed.hook, "target.comm is tested by user space")

    def _lacks(self, hook: Hook, message: str, hint: str) -> None:
        self.missing.append(
            Finding(
                code="PP110", message=f"{hook.label}: {message}", hint=hint, position=hook.position
            )
        )

    def _user(self, hook: Hook, message: str) -> None:
        finding = Finding(
            code="PP112",
            message=f"{hook.label}: {message}",
            position=hook.position,
            hint="name --backend tracefs to have it done in user space, or use bcc",
        )
        if finding not in self.in_user:
            self.in_user.append(finding)
