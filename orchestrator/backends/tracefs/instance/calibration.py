"""The price of each kind of event, measured in a separate instance: how much slower a call is when
it is recorded."""

from dataclasses import replace

from orchestrator.backends.quiet_call import CALL, LIBRARY, call_symbol, measure_call_ns
from orchestrator.backends.tracefs.design.writes import RunNames, Write
from orchestrator.backends.tracefs.instance.trace_instance import TraceInstance, WriteRefused
from orchestrator.binaries import elf
from orchestrator.kernel.abi.dynamic_events import Event

__all__ = ["make_calibration_instance", "measure_event"]

_BUFFER_KB = 64  # overwritten when full; it is never read


def make_calibration_instance(run: TraceInstance) -> TraceInstance:
    """An instance for measuring, with separate names and the journal of `run`; not created yet."""
    return TraceInstance(
        tracefs=run.tracefs,
        names=RunNames(
            instance=f"{run.names.instance}-price",
            group=f"{run.names.group}p",
            token=f"{run.names.token}p",
        ),
        journal=run.journal,
        unjournal=run.unjournal,
    )


def measure_event(kind: str, instance: TraceInstance) -> tuple[float, float] | None:
    """(ns, 0): how much slower a call is when it is recorded, and 0 ns of program run time. Creates
    and removes `instance`. None where this kind of event cannot be created."""
    try:
        with_it = _time_recorded(kind, instance)
    except (OSError, WriteRefused, ValueError, elf.ElfError):
        return None
    return max(with_it - measure_call_ns(), 0.0), 0.0


def _time_recorded(kind: str, instance: TraceInstance) -> float:
    try:
        instance.perform_writes(
            _calibration_writes(_calibration_event(kind, instance.names), instance.names)
        )
        return measure_call_ns()
    finally:
        instance.close()


def _calibration_writes(event: Event | None, names: RunNames) -> tuple[Write, ...]:
    """The writes after which `event` is recorded; None: the tracepoint of the call."""
    at = names.directory
    place = f"syscalls/sys_enter_{CALL}" if event is None else event.full_name
    file = "uprobe_events" if event is not None and event.path is not None else "kprobe_events"
    define = Write(action="define", path=file, event=event)
    return (
        *(() if event is None else (define,)),
        Write(action="mkdir", path=at),
        Write(action="write", path=f"{at}/buffer_size_kb", text=str(_BUFFER_KB)),
        Write(action="write", path=f"{at}/events/{place}/enable", text="1", undo="0"),
    )


def _calibration_event(kind: str, names: RunNames) -> Event | None:
    if kind == "event":
        return None
    event = Event(
        group=names.group,
        name=f"price_{names.token}",
        symbol=call_symbol(),
        returns="ret" in kind,
    )
    if kind.startswith("k"):
        return event
    path = elf.resolve_binary(LIBRARY)
    return replace(event, symbol=None, path=str(path), offset=elf.symbol_offset(path, CALL))
