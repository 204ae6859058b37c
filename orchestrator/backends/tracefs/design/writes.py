"""A layout as tracefs writes in order. `explain` prints what `attach` writes."""

import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import replace

from orchestrator.backends.tracefs.design.hist_triggers import trigger_text
from orchestrator.backends.tracefs.design.layout import EventLayout, EventSource
from orchestrator.kernel.abi.dynamic_events import Event
from orchestrator.values import dataclass

__all__ = [
    "RunNames",
    "Write",
    "list_as_shell",
    "names_from_run_id",
    "resume_writes",
    "size_write",
    "stop_writes",
    "trigger_switch_writes",
]
__all__ += ["attach_writes", "source_switch_writes"]

_TOKEN = re.compile(r"[a-z0-9_]{1,24}")
WAKE_PERCENT = 25  # of a CPU's buffer: it wakes the reader, which also looks from time to time
CLOCK = "mono"  # CLOCK_MONOTONIC (Documentation/trace/ftrace.rst, trace_clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One step. `mkdir`: create the directory `path`; `define`: append the event's line; `write`:
    write `text` to `path`; `add`: append it. Paths are relative to tracefs. `undo` is the text that
    reverts it, None where removing the instance does. An `optional` one is skipped where the file
    does not exist, and a `size` of buffers, in KiB, where they have it already. `source` is the
    index of the source that it is for."""

    action: str
    path: str
    text: str = ""
    undo: str | None = None
    event: Event | None = None
    optional: bool = False
    size: bool = False
    source: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNames:
    """A run's names in tracefs. Event names are unique too, since kprobe_profile and uprobe_profile
    list events without their group."""

    instance: str
    group: str
    token: str

    @property
    def directory(self) -> str:
        """The instance's directory, relative to tracefs."""
        return f"instances/{self.instance}"

    def event_of(self, source: EventSource) -> tuple[str, str]:
        """(category, event) of a source."""
        if source.definition is None:
            return source.category, source.event
        return self.group, f"{source.event}_{self.token}"


def names_from_run_id(run_id: str) -> RunNames:
    """The names of the run `run_id`."""
    token = run_id.lower()
    if not _TOKEN.fullmatch(token):
        token = hashlib.sha256(run_id.encode()).hexdigest()[:16]
    return RunNames(instance=f"probeplan-{token}", group=f"probeplan_{token}", token=token)


def attach_writes(
    layout: EventLayout, names: RunNames, *, pids: Iterable[str] = (), own: Iterable[str] = ()
) -> tuple[Write, ...]:
    """All writes up to enabling the events, which record nothing until tracing_on is 1. `pids` are
    threads to follow; `own` are threads of this process, to exclude."""
    excluded = tuple(own)
    at = names.directory
    return (
        *_definition_writes(layout, names),
        Write(action="mkdir", path=at, undo="rmdir"),
        Write(action="write", path=f"{at}/tracing_on", text="0"),
        Write(action="write", path=f"{at}/trace_clock", text=CLOCK),
        Write(action="write", path=f"{at}/options/overwrite", text="0"),
        Write(action="write", path=f"{at}/options/disable_on_free", text="1"),
        Write(action="write", path=f"{at}/options/record-tgid", text="1", optional=True),
        Write(action="write", path=f"{at}/buffer_percent", text=str(WAKE_PERCENT), optional=True),
        size_write(at, layout.buffer_kb),
        *_thread_writes(layout, at, pids, excluded),
        *_filter_writes(layout, names),
        *_trigger_writes(layout, names, excluded),
        *_enable_writes(layout, names),
    )


def size_write(at: str, buffer_kb: int) -> Write:
    """The write that sets the size of an instance's buffers, per CPU."""
    path = f"{at}/buffer_size_kb"
    return Write(action="write", path=path, text=str(buffer_kb), size=True)


def _filter_writes(layout: EventLayout, names: RunNames) -> Iterable[Write]:
    counted = {hook.sides[0].source for hook in layout.hooks if hook.counted}
    for number, source in enumerate(layout.sources):
        if source.filter is not None and number not in counted:
            path = f"{_event_path(names, source)}/filter"
            yield Write(action="write", path=path, text=source.filter, source=number)


def _trigger_writes(layout: EventLayout, names: RunNames, own: Iterable[str]) -> Iterable[Write]:
    for hist in layout.hists:
        text = trigger_text(hist, own)
        yield Write(
            action="add",
            path=f"{_event_path(names, layout.sources[hist.source])}/trigger",
            text=trigger_text(hist, own, "pause"),
            undo=f"!{text}",
            source=hist.source,
        )


def trigger_switch_writes(
    layout: EventLayout,
    names: RunNames,
    own: Iterable[str],
    state: str,
    paused: Collection[int] = (),
) -> tuple[Write, ...]:
    """The writes that set all hist triggers to `state` (`continue`, `pause`, `clear`), except those
    of sources that are `paused`."""
    return tuple(
        Write(
            action="add",
            path=f"{_event_path(names, layout.sources[hist.source])}/trigger",
            text=trigger_text(hist, own, state),
        )
        for hist in layout.hists
        if hist.source not in paused
    )


def stop_writes(layout: EventLayout, names: RunNames, own: Iterable[str]) -> tuple[Write, ...]:
    """The writes that end recording and counting, and then disable the events, so that they cost
    nothing."""
    return (
        Write(action="write", path=f"{names.directory}/tracing_on", text="0"),
        *trigger_switch_writes(layout, names, own, "pause"),
        *(replace(step, text="0", undo=None) for step in _enable_writes(layout, names)),
    )


def source_switch_writes(
    layout: EventLayout, names: RunNames, own: Iterable[str], sources: Collection[int], *, on: bool
) -> tuple[Write, ...]:
    """The writes that switch `sources`, and their hist triggers, on or off."""
    others = set(range(len(layout.sources))) - set(sources)
    switches = (step for step in _enable_writes(layout, names) if step.source in sources)
    return (
        *(replace(step, text="1" if on else "0", undo=None) for step in switches),
        *trigger_switch_writes(layout, names, own, "continue" if on else "pause", others),
    )


def resume_writes(
    layout: EventLayout, names: RunNames, own: Iterable[str], paused: Collection[int] = ()
) -> tuple[Write, ...]:
    """The writes that revert `stop_writes`, except for sources that are `paused`."""
    return (
        *(replace(s, undo=None) for s in _enable_writes(layout, names) if s.source not in paused),
        *trigger_switch_writes(layout, names, own, "continue", paused),
        Write(action="write", path=f"{names.directory}/tracing_on", text="1"),
    )


def _enable_writes(layout: EventLayout, names: RunNames) -> Iterable[Write]:
    counted = {hook.sides[0].source for hook in layout.hooks if hook.counted}
    for number, source in enumerate(layout.sources):
        if number in counted:  # the trigger enables it, without records
            continue
        path = f"{_event_path(names, source)}/enable"
        yield Write(action="write", path=path, text="1", undo="0", source=number)


def _event_path(names: RunNames, source: EventSource) -> str:
    category, event = names.event_of(source)
    return f"{names.directory}/events/{category}/{event}"


def _definition_writes(layout: EventLayout, names: RunNames) -> Iterable[Write]:
    for number, source in enumerate(layout.sources):
        if source.definition is None:
            continue
        group, name = names.event_of(source)
        event = source.definition.make_event(group, name)
        file = "kprobe_events" if event.symbol is not None else "uprobe_events"
        yield Write(
            action="define",
            path=file,
            text=event.line,
            undo=f"-:{event.full_name}",
            event=event,
            source=number,
        )


def _thread_writes(
    layout: EventLayout, at: str, pids: Iterable[str], own: Iterable[str]
) -> Iterable[Write]:
    # One write for all: changing the list waits for a grace period (trace_events.c,
    # event_pid_write).
    if layout.by_pid:  # before the list, so that threads created meanwhile are followed
        yield Write(action="write", path=f"{at}/options/event-fork", text="1")
        yield Write(action="add", path=f"{at}/set_event_pid", text=" ".join(pids))
    if excluded := " ".join(own):
        yield Write(action="add", path=f"{at}/set_event_notrace_pid", text=excluded)


def list_as_shell(steps: Iterable[Write]) -> str:
    """The writes as shell commands, run in the tracefs directory."""
    lines = []
    for step in steps:
        if step.action == "mkdir":
            lines.append(f"mkdir {step.path}")
        else:
            arrow = ">" if step.action == "write" else ">>"
            quoted = "'" + step.text.replace("'", "'\\''") + "'"
            lines.append(f"echo {quoted} {arrow} {step.path}")
    return "\n".join(lines) + "\n"
