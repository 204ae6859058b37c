"""The events that show a program's hooks, and what each of them provides."""

from collections.abc import Iterable
from dataclasses import field, replace

from orchestrator.backends.tracefs.design.event_fields import (
    COMM,
    STACK,
    DynamicEventFields,
    EventFields,
    TracepointFields,
)
from orchestrator.backends.tracefs.design.fetch import Fetcher, syscall_fields, syscall_function
from orchestrator.backends.tracefs.design.layout import EventDefinition, EventSource
from orchestrator.backends.tracefs.design.nodes import reads_memory
from orchestrator.compile.expressions.nodes import Node, walk
from orchestrator.compile.program import Hook
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.tracepoints import Tracepoint
from orchestrator.values import dataclass

__all__ = ["SourceDraft", "Sources", "settle_source"]


@dataclass(slots=True, kw_only=True)
class SourceDraft:
    """A source before its filter is known. `fields`: what its event provides; `wishes`: the filter
    that each of its sides asks for."""

    source: EventSource
    fields: EventFields
    wishes: list[str | None] = field(default_factory=list)


class Sources:
    """Sources by key, in the order in which hooks ask for them; several hooks may share a
    tracepoint."""

    def __init__(self, arch: str, facts: KernelFacts) -> None:
        self._arch, self._facts = arch, facts
        self.drafts: dict[str, SourceDraft] = {}

    def source_of_side(
        self, hook: Hook, side: str, needed: Iterable[Node]
    ) -> tuple[str, EventFields]:
        """The key of the event that shows a side, made where it is new, and what it provides."""
        if hook.tracepoint is not None:
            reads = any(reads_memory(part) for node in needed for part in walk(node))
            function = self._syscall_function(hook) if reads and side != "return" else None
            if function is not None:
                return self._function_entry(hook, side, function)
            return self._share_tracepoint(hook, side)
        return self._define_event(hook, side)

    def _define_event(self, hook: Hook, side: str) -> tuple[str, EventFields]:
        """A dynamic event at the hook's own place."""
        in_user_code = hook.traits.space == "user"
        fetcher = Fetcher(self._arch, user=in_user_code)
        fields = DynamicEventFields(fetcher, paired=side == "return")
        if hook.paired:
            fields.add_argument(STACK, "$stack:u64")
        if side != "return":
            fields.add_argument(COMM, "$comm")
        definition = EventDefinition(
            symbol=None if in_user_code else hook.symbol,
            path=hook.path if in_user_code else None,
            identity=hook.identity,
            offset=hook.file_offset if in_user_code else hook.offset,
            returns=side == "return" or hook.traits.moment == "return",
            ref_counter=hook.semaphore,
        )
        return self._add_draft(f"h{hook.id}_{side}", definition, fields)

    def _add_draft(
        self, event: str, definition: EventDefinition, fields: DynamicEventFields
    ) -> tuple[str, EventFields]:
        source = EventSource(category="", event=event, definition=definition)
        self.drafts[source.key] = SourceDraft(source=source, fields=fields)
        return source.key, fields

    def _syscall_function(self, hook: Hook) -> str | None:
        """The function of a system call; None where no kprobe can be set on it. Event probes on the
        tracepoint would be simpler, but read only the first byte of a `char *` field
        (trace_eprobe.c, get_event_field, FILTER_PTR_STRING)."""
        if hook.traits.site != "system call" or hook.tracepoint is None:
            return None
        name = hook.tracepoint.event.removeprefix("sys_enter_")
        symbol = syscall_function(self._arch, name)
        if symbol is None or not self._facts.feature("kprobe_events"):
            return None
        return symbol if self._facts.symbols.count(symbol) == 1 else None

    def _function_entry(self, hook: Hook, side: str, symbol: str) -> tuple[str, EventFields]:
        """A system call's entry, probed at its function, which can read behind arguments."""
        assert hook.tracepoint is not None  # as _syscall_function saw
        names = [f.name for f in hook.tracepoint.fields if f.name != "__syscall_nr"]
        argument_texts = syscall_fields(self._arch, names)
        fields = DynamicEventFields(Fetcher(self._arch, fields=argument_texts))
        fields.add_argument(COMM, "$comm")
        return self._add_draft(f"h{hook.id}_{side}", EventDefinition(symbol=symbol), fields)

    def share_exit(self, exit_tracepoint: Tracepoint) -> str:
        """The key of a system call's exit, made where it is new."""
        return self._share(exit_tracepoint, "return")[0]

    def _share_tracepoint(self, hook: Hook, side: str) -> tuple[str, EventFields]:
        point = hook.exit_tracepoint if side == "return" else hook.tracepoint
        assert point is not None
        return self._share(point, side)

    def _share(self, point: Tracepoint, side: str) -> tuple[str, EventFields]:
        source = EventSource(category=point.category, event=point.event)
        draft = self.drafts.get(source.key)
        if draft is None:
            fields = TracepointFields(returns=side == "return", paired=side == "return")
            draft = self.drafts[source.key] = SourceDraft(source=source, fields=fields)
        return source.key, draft.fields


def settle_source(draft: SourceDraft, comm: str | None) -> EventSource:
    """The source with its filter: the one that all its sides ask for, or none. `comm`: the filter
    that tests target.comm."""
    wishes = set(draft.wishes)
    text = wishes.pop() if len(wishes) == 1 else None
    tests_comm = comm is not None and (text or "").startswith((comm, f"({comm})"))
    source = replace(
        draft.source,
        filter=text,
        tests_comm=tests_comm,
        field_names=dict(draft.fields.field_names),
        unchecked_reads=draft.fields.unchecked_reads,
    )
    if source.definition is None or not isinstance(draft.fields, DynamicEventFields):
        return source
    fetch = tuple(draft.fields.arguments)
    return replace(source, definition=replace(source.definition, fetch=fetch))
