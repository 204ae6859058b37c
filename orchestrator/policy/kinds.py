"""Which attach kinds give what another kind gives, so that denying one closes the others. Pure."""

import re
from collections.abc import Mapping
from typing import cast

from orchestrator.plan.attach_kinds import AttachKind
from orchestrator.policy.system_calls import calls_of_event, calls_of_function

__all__ = ["event_of_function", "kinds_given"]

_ENTRY: tuple[AttachKind, ...] = ("kprobe", "entry", "fentry")
_RETURN: tuple[AttachKind, ...] = ("kretprobe", "fexit")

#: What a kind gives besides itself: what fires at the same moment of the same code, and what it is
#: attached as.
_GIVEN: Mapping[AttachKind, tuple[AttachKind, ...]] = {
    **dict.fromkeys(_ENTRY, _ENTRY),
    **dict.fromkeys(_RETURN, _RETURN),
    "function": (*_ENTRY, *_RETURN),
    "ufunction": ("uprobe", "uretprobe"),
    "usdt": ("uprobe",),
    "syscall": ("tracepoint",),
    "rawtracepoint": ("tracepoint",),
}
#: Functions that run for one event each (include/trace/events, include/linux/tracepoint.h); those
#: of a class of events have the name of the class.
_EVENT_FUNCTION = re.compile(
    r"(?:__traceiter|__probestub|__bpf_trace|trace_event_raw_event|perf_trace|trace_raw_output)"
    r"_(?P<event>\w+)"
)


def kinds_given(kind: str, target: str) -> tuple[str, ...]:
    """The kinds whose denial closes an attach point: its own, and those that it is as good as."""
    kinds: list[str] = [kind, *_GIVEN.get(cast(AttachKind, kind), ())]
    if kind == "tracepoint" and calls_of_event(*_split_event(target)):
        kinds.append("syscall")
    if kind == "rawtracepoint" and calls_of_event("", target):
        kinds.append("syscall")
    if kind in (*_ENTRY, *_RETURN, "function"):
        symbol = target.partition("+")[0]
        kinds += ["syscall", "tracepoint"] if calls_of_function(symbol) else []
        kinds += ["tracepoint", "rawtracepoint"] if event_of_function(symbol) else []
    return tuple(dict.fromkeys(kinds))


def event_of_function(symbol: str) -> str:
    """The event, or class of events, for which a kernel function runs; "" where there is none."""
    match = _EVENT_FUNCTION.fullmatch(symbol.partition(".")[0])
    return match["event"] if match is not None else ""


def _split_event(target: str) -> tuple[str, str]:
    category, _, event = target.partition(":")
    return category, event
