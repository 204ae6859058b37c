"""By which mechanism a hook is attached, and why by no other.

In order of preference: tracepoints as raw tracepoints, else through perf; functions through a
trampoline (fentry, fexit), else a dynamic event of our own, which tells hits and misses, else the
perf PMU, which does not.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.backends.bcc.design.registers import Access
from orchestrator.compile.body_nodes import tops
from orchestrator.compile.expressions.nodes import Captured, Field, LetRef, Node, walk
from orchestrator.compile.program import Body, Hook
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.attach_kinds import AttachKind

Mechanism = Literal[
    "raw tracepoint",
    "perf tracepoint",
    "fentry",
    "dynamic event",
    "kprobe PMU",
    "uprobe PMU",
    "perf clock",
]

ACCESS: Mapping[Mechanism, Access] = {
    "raw tracepoint": "arguments",
    "perf tracepoint": "record",
    "fentry": "arguments",
    "dynamic event": "registers",
    "kprobe PMU": "registers",
    "uprobe PMU": "registers",
    "perf clock": "registers",
}
#: What programs return. At a perf event 0 drops the event for everybody else's perf (measured);
#: trampolines accept 0 only (kernel/bpf/verifier.c, check_return_code).
RETURNS: Mapping[Mechanism, int] = {
    "raw tracepoint": 0,
    "perf tracepoint": 1,
    "fentry": 0,
    "dynamic event": 1,
    "kprobe PMU": 1,
    "uprobe PMU": 1,
    "perf clock": 0,
}

_CANDIDATES: Mapping[AttachKind, tuple[Mechanism, ...]] = {
    "tracepoint": ("raw tracepoint", "perf tracepoint"),
    "rawtracepoint": ("raw tracepoint",),
    "syscall": ("perf tracepoint",),
    "function": ("fentry", "dynamic event", "kprobe PMU"),
    "entry": ("fentry", "dynamic event", "kprobe PMU"),
    "kprobe": ("fentry", "dynamic event", "kprobe PMU"),
    "kretprobe": ("fentry", "dynamic event", "kprobe PMU"),
    "fentry": ("fentry",),
    "fexit": ("fentry",),
    "ufunction": ("dynamic event", "uprobe PMU"),
    "uprobe": ("dynamic event", "uprobe PMU"),
    "uretprobe": ("dynamic event", "uprobe PMU"),
    "usdt": ("dynamic event", "uprobe PMU"),
    "profile": ("perf clock",),
}
_NONE_REFUSED: Mapping[Mechanism, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The mechanism of a hook (None: there is none) and why each other one was not taken."""

    mechanism: Mechanism | None
    rejected: Mapping[str, str] = field(default_factory=dict)


def choose(
    hook: Hook, facts: KernelFacts, refused: Mapping[Mechanism, str] = _NONE_REFUSED
) -> Choice:
    """The first mechanism that this kernel and this hook allow. The less preferred ones are
    listed too, as not needed. `refused`: what was tried in vain, and the kernel's answer."""
    taken: Mechanism | None = None
    rejected: dict[str, str] = {}
    for mechanism in _CANDIDATES[hook.kind]:
        why = f"{taken} is preferred" if taken else refused.get(mechanism, "")
        why = why or _OBSTACLES[mechanism](hook, facts)
        if why:
            rejected[mechanism] = why
        else:
            taken = mechanism
    return Choice(mechanism=taken, rejected=rejected)


def has_alternatives(kind: AttachKind) -> bool:
    """Whether more than one mechanism attaches hooks of this kind."""
    return len(_CANDIDATES[kind]) > 1


def _raw_tracepoint(hook: Hook, facts: KernelFacts) -> str:
    if hook.tracepoint is not None and hook.tracepoint.category == "syscalls":
        return "single system calls have no raw tracepoint"
    if not _event(hook):
        return "the tracepoint's own name is not known"
    if hook.traits.site == "tracepoint" and any(
        isinstance(node, Field) for node in _nodes(hook.body)
    ):
        return "the probe reads fields of the event's record"
    return _missing(facts, "raw_tracepoint")


def _perf_tracepoint(hook: Hook, facts: KernelFacts) -> str:
    return _missing(facts, "perf_tracepoint")


def _fentry(hook: Hook, facts: KernelFacts) -> str:
    missing = _missing(facts, "fentry")
    if missing:
        return missing
    if not hook.btf_id:
        return "the kernel's BTF does not have this function, or two of its name"
    if hook.offset:
        return "trampolines stand at a function's entry, not inside it"
    return ""


def _dynamic_event(hook: Hook, facts: KernelFacts) -> str:
    events = "uprobe_events" if hook.traits.space == "user" else "kprobe_events"
    return _missing(facts, events) or _missing(facts, "perf_tracepoint")


def _kprobe_pmu(hook: Hook, facts: KernelFacts) -> str:
    return _missing(facts, "kprobe_pmu")


def _uprobe_pmu(hook: Hook, facts: KernelFacts) -> str:
    return _missing(facts, "uprobe_pmu")


def _perf_clock(hook: Hook, facts: KernelFacts) -> str:
    return _missing(facts, "perf_tracepoint")


_OBSTACLES: Mapping[Mechanism, Callable[[Hook, KernelFacts], str]] = {
    "raw tracepoint": _raw_tracepoint,
    "perf tracepoint": _perf_tracepoint,
    "fentry": _fentry,
    "dynamic event": _dynamic_event,
    "kprobe PMU": _kprobe_pmu,
    "uprobe PMU": _uprobe_pmu,
    "perf clock": _perf_clock,
}


def _missing(facts: KernelFacts, name: str) -> str:
    """Why a feature is not there; "" when it is. Unknown counts as there for a recorded kernel
    only where nothing else could tell: what is unknown is not relied upon."""
    feature = facts.feature(name)
    return "" if feature else feature.detail or f"this kernel lacks {name}"


def _event(hook: Hook) -> str:
    return hook.event or (hook.tracepoint.event if hook.tracepoint is not None else "")


def _nodes(body: Body) -> Iterator[Node]:
    """Every node that is evaluated at a hook."""
    for top in tops(body):
        yield from _deep(top, body)
    if body.entry is not None:
        for top in (*body.entry.where, *body.entry.captures):
            yield from _deep(top, body)


def _deep(top: Node, body: Body) -> Iterator[Node]:
    for node in walk(top):
        yield node
        if isinstance(node, LetRef):
            yield from _deep(body.lets[node.index].node, body)
        elif isinstance(node, Captured) and body.entry is not None:
            yield from _deep(body.entry.captures[node.index], body)


def nodes_of(body: Body) -> tuple[Node, ...]:
    """Every node that is evaluated at a hook, definitions and captured values included."""
    return tuple(_nodes(body))
