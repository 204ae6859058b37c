"""The events that show a program's hooks: which they are, and what each of them answers."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

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

__all__ = ["SourceDraft", "Sources", "settle_source"]


@dataclass(slots=True, kw_only=True)
class SourceDraft:
    """A source before its filter is settled, and what its event answers: `wishes` holds the pushed
    text of each user."""

    source: EventSource
    leaves: EventFields
    wishes: list[str | None] = field(default_factory=list)


class Sources:
    """Sources as hooks ask for them, by their keys in the order of asking; several hooks may share
    a tracepoint."""

    def __init__(self, arch: str, facts: KernelFacts) -> None:
        self._arch, self._facts = arch, facts
        self.drafts: dict[str, SourceDraft] = {}

    def source_of_side(
        self, hook: Hook, side: str, needed: Iterable[Node]
    ) -> tuple[str, EventFields]:
        """The event that shows a side, made where it is new, and what it answers."""
        if hook.tracepoint is not None:
            reads = any(reads_memory(part) for node in needed for part in walk(node))
            function = self._syscall_function(hook) if reads and side != "return" else None
            if function is not None:
                return self._function_entry(hook, side, function)
            return self._share_tracepoint(hook, side)
        event = f"h{hook.id}_{side}"
        in_user_code = hook.traits.space == "user"
        fetcher = Fetcher(self._arch, user=in_user_code)
        leaves = DynamicEventFields(fetcher, paired=side == "return")
        returns = side == "return" or hook.traits.moment == "return"
        if hook.paired:
            leaves.add_argument(STACK, "$stack:u64")
        if side != "return":
            leaves.add_argument(COMM, "$comm")
        definition = EventDefinition(
            symbol=None if in_user_code else hook.symbol,
            path=hook.path if in_user_code else None,
            offset=hook.file_offset if in_user_code else hook.offset,
            returns=returns,
            ref_counter=hook.semaphore,
        )
        source = EventSource(category="", event=event, definition=definition)
        self.drafts[source.key] = SourceDraft(source=source, leaves=leaves)
        return source.key, leaves

    def _syscall_function(self, hook: Hook) -> str | None:
        """The function of a system call, where kprobes can be set on it. Event probes on the
        tracepoint would do, but read only the first byte of a `char *` field (trace_eprobe.c,
        get_event_field, FILTER_PTR_STRING)."""
        if hook.traits.site != "system call" or hook.tracepoint is None:
            return None
        name = hook.tracepoint.event.removeprefix("sys_enter_")
        symbol = syscall_function(self._arch, name)
        if symbol is None or not self._facts.feature("kprobe_events"):
            return None
        return symbol if self._facts.symbols.count(symbol) == 1 else None

    def _function_entry(self, hook: Hook, side: str, symbol: str) -> tuple[str, EventFields]:
        """A system call's entry seen by its function, which can read what arguments point to."""
        assert hook.tracepoint is not None  # as _syscall_function saw
        names = [f.name for f in hook.tracepoint.fields if f.name != "__syscall_nr"]
        fields = syscall_fields(self._arch, names)
        leaves = DynamicEventFields(Fetcher(self._arch, fields=fields))
        leaves.add_argument(COMM, "$comm")
        event = f"h{hook.id}_{side}"
        source = EventSource(category="", event=event, definition=EventDefinition(symbol=symbol))
        self.drafts[source.key] = SourceDraft(source=source, leaves=leaves)
        return source.key, leaves

    def _share_tracepoint(self, hook: Hook, side: str) -> tuple[str, EventFields]:
        point = hook.exit_tracepoint if side == "return" else hook.tracepoint
        assert point is not None
        source = EventSource(category=point.category, event=point.event)
        draft = self.drafts.get(source.key)
        if draft is None:
            leaves = TracepointFields(returns=side == "return", paired=side == "return")
            draft = self.drafts[source.key] = SourceDraft(source=source, leaves=leaves)
        return source.key, draft.leaves


def settle_source(draft: SourceDraft, comm: str | None) -> EventSource:
    """The source with its filter: what its only user asks for, or what all ask for alike. `comm`:
    the text that tests the target's names."""
    wishes = set(draft.wishes)
    text = wishes.pop() if len(wishes) == 1 else None
    by_name = comm is not None and (text or "").startswith((comm, f"({comm})"))
    source = replace(
        draft.source,
        filter=text,
        tests_comm=by_name,
        leaves=dict(draft.leaves.field_names),
        reads=draft.leaves.unchecked_reads,
    )
    if source.definition is None or not isinstance(draft.leaves, DynamicEventFields):
        return source
    fetch = tuple(draft.leaves.arguments)
    return replace(source, definition=replace(source.definition, fetch=fetch))
