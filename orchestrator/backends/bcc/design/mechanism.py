"""The mechanism that attaches a hook, and why the others do not.

In order of preference: tracepoints as raw tracepoints, else through perf; functions through a
trampoline (fentry, fexit), else a private dynamic event, which counts hits and misses, else the
perf PMU, which does not. Many places of one probe may then share one link (joining.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Literal

from orchestrator.backends.bcc.design.hook_nodes import nodes_at_hook
from orchestrator.backends.bcc.design.misses import only_tasks_cause
from orchestrator.backends.bcc.design.registers import Access
from orchestrator.compile.expressions.nodes import Field
from orchestrator.compile.program import Hook
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.attach_kinds import AttachKind
from orchestrator.values import dataclass

Mechanism = Literal[
    "raw tracepoint",
    "perf tracepoint",
    "fentry",
    "dynamic event",
    "kprobe PMU",
    "uprobe PMU",
    "perf clock",
    "iterator",
    "perf event",
    "kprobe multi",
    "uprobe multi",
]

ACCESS: Mapping[Mechanism, Access] = {
    "raw tracepoint": "arguments",
    "perf tracepoint": "record",
    "fentry": "arguments",
    "dynamic event": "registers",
    "kprobe PMU": "registers",
    "uprobe PMU": "registers",
    "perf clock": "registers",
    "iterator": "arguments",
    "perf event": "registers",
    "kprobe multi": "registers",
    "uprobe multi": "registers",
}
#: The return value of programs. At a perf event 0 drops the event for all other users of perf
#: (measured); trampolines accept only 0 (kernel/bpf/verifier.c, check_return_code); 1 would remove
#: the breakpoint of a link of user code (UPROBE_HANDLER_REMOVE, include/linux/uprobes.h).
RETURNS: Mapping[Mechanism, int] = {
    "raw tracepoint": 0,
    "perf tracepoint": 1,
    "fentry": 0,
    "dynamic event": 1,
    "kprobe PMU": 1,
    "uprobe PMU": 1,
    "perf clock": 0,
    "iterator": 0,
    "perf event": 0,
    "kprobe multi": 0,
    "uprobe multi": 0,
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
    "interval": ("perf clock",),
    "iter": ("iterator",),
    "perf": ("perf event",),
}
_NONE_REFUSED: Mapping[Mechanism, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class MechanismChoice:
    """The mechanism of a hook (None: there is none) and why each other one was not taken.
    `witness`: the raw tracepoint at which a second program counts the events, "" where the kernel
    keeps none from the first without counting it. `joined`: the id of the first of the hooks that
    share the hook's program and link, None where it has its own."""

    mechanism: Mechanism | None
    joined: int | None = None
    witness: str = ""
    rejected: Mapping[str, str] = field(default_factory=dict)


def choose_mechanism(
    hook: Hook, facts: KernelFacts, refused: Mapping[Mechanism, str] = _NONE_REFUSED
) -> MechanismChoice:
    """The first mechanism that this kernel and this hook allow. Less preferred ones are listed too,
    as not needed. `refused`: mechanisms that were tried and failed, with the kernel's answer."""
    chosen: Mechanism | None = None
    rejected: dict[str, str] = {}
    for mechanism in _CANDIDATES[hook.kind]:
        why = f"{chosen} is preferred" if chosen else refused.get(mechanism, "")
        why = why or _OBSTACLES[mechanism](hook, facts)
        if why:
            rejected[mechanism] = why
        else:
            chosen = mechanism
    rejected |= {one: why for one, why in refused.items() if one not in _CANDIDATES[hook.kind]}
    witness = _choose_witness(hook, facts) if chosen == "perf tracepoint" else ""
    return MechanismChoice(mechanism=chosen, rejected=rejected, witness=witness)


def _choose_witness(hook: Hook, facts: KernelFacts) -> str:
    """System calls have no separate raw tracepoints, and need no witness."""
    tracepoint = hook.tracepoint
    if tracepoint is None or only_tasks_cause(tracepoint) or not facts.feature("raw_tracepoint"):
        return ""
    return tracepoint.event


def has_alternatives(kind: AttachKind) -> bool:
    """Whether more than one mechanism attaches hooks of this kind."""
    return len(_CANDIDATES[kind]) > 1


def _raw_tracepoint_obstacle(hook: Hook, facts: KernelFacts) -> str:
    if hook.tracepoint is not None and hook.tracepoint.category == "syscalls":
        return "single system calls have no raw tracepoint"
    if not _event_name(hook):
        return "the tracepoint's own name is not known"
    if hook.traits.site == "tracepoint" and any(
        isinstance(node, Field) for node in nodes_at_hook(hook.body)
    ):
        return "the probe reads fields of the event's record"
    return missing_feature(facts, "raw_tracepoint")


def _perf_tracepoint_obstacle(hook: Hook, facts: KernelFacts) -> str:
    return missing_feature(facts, "perf_tracepoint")


def _fentry_obstacle(hook: Hook, facts: KernelFacts) -> str:
    missing = missing_feature(facts, "fentry")
    if missing:
        return missing
    if not hook.btf_id:
        lacking = "the kernel's BTF lacks this function, or has two of its name"
        return facts.why_no_types or lacking
    if hook.offset:
        return "trampolines are at a function's entry, not inside it"
    return ""


def _dynamic_event_obstacle(hook: Hook, facts: KernelFacts) -> str:
    events = "uprobe_events" if hook.traits.space == "user" else "kprobe_events"
    return missing_feature(facts, events) or missing_feature(facts, "perf_tracepoint")


def _kprobe_pmu_obstacle(hook: Hook, facts: KernelFacts) -> str:
    return missing_feature(facts, "kprobe_pmu")


def _uprobe_pmu_obstacle(hook: Hook, facts: KernelFacts) -> str:
    return missing_feature(facts, "uprobe_pmu")


def _perf_clock_obstacle(hook: Hook, facts: KernelFacts) -> str:
    return missing_feature(facts, "perf_tracepoint")


def _iterator_obstacle(hook: Hook, facts: KernelFacts) -> str:
    return missing_feature(facts, "bpf")


_OBSTACLES: Mapping[Mechanism, Callable[[Hook, KernelFacts], str]] = {
    "raw tracepoint": _raw_tracepoint_obstacle,
    "perf tracepoint": _perf_tracepoint_obstacle,
    "fentry": _fentry_obstacle,
    "dynamic event": _dynamic_event_obstacle,
    "kprobe PMU": _kprobe_pmu_obstacle,
    "uprobe PMU": _uprobe_pmu_obstacle,
    "perf clock": _perf_clock_obstacle,
    "iterator": _iterator_obstacle,
    "perf event": _perf_clock_obstacle,
}


def missing_feature(facts: KernelFacts, name: str) -> str:
    """Why a feature is missing; "" when it is there. An unknown feature counts as missing."""
    feature = facts.feature(name)
    return "" if feature else feature.detail or f"this kernel lacks {name}"


def _event_name(hook: Hook) -> str:
    return hook.event or (hook.tracepoint.event if hook.tracepoint is not None else "")
