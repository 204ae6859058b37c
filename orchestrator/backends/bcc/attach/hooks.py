"""One hook's programs into the kernel and onto their events."""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from orchestrator.backends.bcc.attach import clock, load
from orchestrator.backends.bcc.attach import links as attach
from orchestrator.backends.bcc.attach.links import Attachment
from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.design.groups import at_return
from orchestrator.backends.bcc.design.mechanism import Mechanism
from orchestrator.backends.protocol import AttachOptions
from orchestrator.compile.body_nodes import tops
from orchestrator.compile.describe import describe
from orchestrator.compile.program import Hook
from orchestrator.kernel.abi import bpf
from orchestrator.kernel.abi.dynamic_events import Event
from orchestrator.plan.findings import Finding, HostError

PERF_EVENT = 7  # BPF_PROG_TYPE_PERF_EVENT, include/uapi/linux/bpf.h
PROGRAM_TYPES: Mapping[Mechanism, int] = {
    "raw tracepoint": bpf.RAW_TRACEPOINT,
    "perf tracepoint": bpf.TRACEPOINT,
    "fentry": bpf.TRACING,
    "dynamic event": bpf.KPROBE,
    "kprobe PMU": bpf.KPROBE,
    "uprobe PMU": bpf.KPROBE,
    "perf clock": PERF_EVENT,
}
LOG_LINES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A side that fires: its program's descriptor and its attachment."""

    side: layout.Side
    program: int
    attachment: Attachment

    @property
    def event(self) -> str:
        """The name of its dynamic event, "" without one."""
        return self.attachment.events[0].partition("/")[2] if self.attachment.events else ""


def load_side(side: layout.Side, mechanism: Mechanism, code: bytes, maps: Mapping[int, int]) -> int:
    """Load one side's program and return its descriptor. Raises HostError."""
    tracing = mechanism == "fentry"
    expected = bpf.TRACE_FEXIT if at_return(side) else bpf.TRACE_FENTRY
    try:
        return load.load_program(
            code,
            PROGRAM_TYPES[mechanism],
            name=side.function,
            maps=maps,
            expected_attach_type=expected if tracing else 0,
            attach_btf_id=side.hook.btf_id if tracing else 0,
        )
    except load.LoadError as refused:
        raise HostError([_refused(side, refused)]) from None


def _refused(side: layout.Side, refused: load.LoadError) -> Finding:
    """What the verifier said, in terms of the plan; its whole log is kept in a file."""
    hook, hint = side.hook, ""
    tail = [line for line in refused.log.strip().splitlines() if not _is_statistics(line)]
    if refused.log:
        with tempfile.NamedTemporaryFile(
            "w", prefix="probeplan-verifier-", suffix=".log", delete=False
        ) as kept:
            kept.write(refused.log)
        hint = f"the verifier's log is in {kept.name}; {_about(hook)}"
    said = "; ".join(tail[-LOG_LINES:]) or str(refused)
    message = f"the kernel refused the program of {hook.label} ({side.name}): {said}"
    return Finding(code="PP089", message=message, position=hook.position, hint=hint)


def _is_statistics(line: str) -> bool:
    return re.match(r"processed \d+ insns|verification time", line) is not None


def _about(hook: Hook) -> str:
    body = hook.body
    told = ", ".join(f"`{describe(node, body)}`" for node in islice(tops(body), 6))
    return f"the program computes {told}" if told else "the program only counts"


def attach_side(
    side: layout.Side, mechanism: Mechanism, program: int, options: AttachOptions
) -> Attachment:
    """Attach a loaded program. Raises attach.AttachError, ValueError for a place that no
    definition can name."""
    hook = side.hook
    match mechanism:
        case "raw tracepoint":
            return attach.raw_tracepoint(hook.event or _tracepoint_name(hook), program)
        case "perf tracepoint":
            return _perf_tracepoint(side, program)
        case "fentry":
            make = attach.fexit if at_return(side) else attach.fentry
            return make(hook.symbol, program)
        case "dynamic event":
            event = _event(side, options.run_id)
            return attach.dynamic_event(event, program, lambda name: options.journal("event", name))
        case "kprobe PMU":
            return attach.kprobe_pmu(
                hook.symbol, program, offset=hook.offset, returns=at_return(side)
            )
        case "uprobe PMU":
            return attach.uprobe_pmu(
                hook.path,
                hook.file_offset,
                program,
                returns=at_return(side),
                ref_counter=hook.semaphore,
            )
        case "perf clock":
            return clock.perf_clock(hook.frequency, program)


def _tracepoint_name(hook: Hook) -> str:
    return hook.tracepoint.event if hook.tracepoint is not None else ""


def _perf_tracepoint(side: layout.Side, program: int) -> Attachment:
    hook = side.hook
    found = hook.exit_tracepoint if side.name == "return" else hook.tracepoint
    if found is None or found.id is None:
        raise ValueError(f"{hook.label}: the kernel tells no number for this event")
    return attach.perf_tracepoint(found.id, program, place=f"{found.category}:{found.event}")


def _event(side: layout.Side, run_id: str) -> Event:
    """The definition of our own event; its name holds the run's id, since the kernel's profiles
    list names without groups."""
    hook = side.hook
    run = re.sub(r"[^a-z0-9]", "_", run_id.lower())[:24]
    place = (
        {"path": hook.path, "offset": hook.file_offset, "ref_counter": hook.semaphore}
        if hook.traits.space == "user"
        else {"symbol": hook.symbol, "offset": hook.offset}
    )
    return Event(
        group=f"probeplan_{run}",
        name=f"pp_{run}_{hook.id}_{side.name}",
        returns=at_return(side),
        **place,  # type: ignore[arg-type]  # the keywords that Event has for one kind of place
    )
