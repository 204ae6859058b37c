"""The programs of one hook: loaded, and attached to their events."""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from orchestrator.backends.bcc.attach import clock, links, load
from orchestrator.backends.bcc.design.groups import is_at_return
from orchestrator.backends.bcc.design.layout import HookSide
from orchestrator.backends.bcc.design.mechanism import Mechanism
from orchestrator.backends.bcc.handles.attachment import Attachment
from orchestrator.backends.protocol import AttachOptions, OpenNumber, ProgramRefused
from orchestrator.compile.program import Hook
from orchestrator.kernel.abi import bpf, btf_objects
from orchestrator.kernel.abi.bpf_iterators import TRACE_ITER
from orchestrator.kernel.abi.bpf_links import TRACE_KPROBE_MULTI, TRACE_UPROBE_MULTI
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
    "iterator": bpf.TRACING,
    "perf event": PERF_EVENT,
    "kprobe multi": bpf.KPROBE,
    "uprobe multi": bpf.KPROBE,
}
LOG_LINES = 3  # of the verifier's log, in the message
HINT_LINES = 20  # in the hint: what led to the refusal
_MOST_NUMBERS = 30  # there, too: the shipped plans have at most 25


def load_side(
    side: HookSide,
    mechanism: Mechanism,
    code: bytes,
    maps: Mapping[int, int],
    numbers: Sequence[OpenNumber] = (),
) -> int:
    """Load one side's program and return its descriptor. `numbers`: those of this host that were
    filled into the plan's programs, for messages. Raises HostError."""
    tracing = PROGRAM_TYPES[mechanism] == bpf.TRACING
    with _opened_types(side.hook if tracing else None) as types:
        try:
            return load.load_program(
                code,
                PROGRAM_TYPES[mechanism],
                name=side.function,
                maps=maps,
                expected_attach_type=_expect_attach_type(side, mechanism),
                attach_btf_id=side.hook.btf_id if tracing else 0,
                attach_btf_fd=types,
            )
        except load.LoadError as refused:
            findings = [_explain_refusal(side, refused, numbers)]
            judged = _list_reasons(refused)  # or the kernel had no memory, or we no right
            raise ProgramRefused(findings) if judged else HostError(findings) from None


def _expect_attach_type(side: HookSide, mechanism: Mechanism) -> int:
    match mechanism:
        case "fentry":
            return bpf.TRACE_FEXIT if is_at_return(side) else bpf.TRACE_FENTRY
        case "iterator":
            return TRACE_ITER
        case "kprobe multi":
            return TRACE_KPROBE_MULTI
        case "uprobe multi":
            return TRACE_UPROBE_MULTI
        case _:
            return 0


@contextlib.contextmanager
def _opened_types(hook: Hook | None) -> Iterator[int]:
    """A descriptor of the BTF that has the hook's `btf_id`; 0: the kernel's own. Raises
    HostError where a module's cannot be opened: it was unloaded, or the kernel is too old."""
    if hook is None or not hook.module:
        yield 0
        return
    try:
        types = btf_objects.open_module_btf(hook.module)
    except OSError as error:
        message = f"the types of the module {hook.module} cannot be opened: {error.strerror}"
        finding = Finding(code="PP089", message=message, position=hook.position)
        raise HostError([finding]) from None
    try:
        yield types
    finally:
        os.close(types)


def _explain_refusal(
    side: HookSide, refused: load.LoadError, numbers: Sequence[OpenNumber]
) -> Finding:
    """The verifier's message in terms of the plan, with the end of its log: the rest, up to
    megabytes, is the way there. The log has offsets, which `numbers` name."""
    hook, hint = side.hook, ""
    log = _list_reasons(refused)
    if log:
        end = "\n".join(log[-HINT_LINES:])
        filled = _describe_numbers(numbers)
        hint = f"{_describe_program(hook)}{filled}; the verifier's log ends with\n{end}"
    reason = "; ".join(log[-LOG_LINES:]) or str(refused)
    message = f"the kernel refused the program of {hook.label} ({side.name}): {reason}"
    return Finding(code="PP089", message=message, position=hook.position, hint=hint)


def _list_reasons(refused: load.LoadError) -> list[str]:
    """The lines of the verifier's log that say something of the program."""
    return [line for line in refused.log.strip().splitlines() if not _is_statistics(line)]


def _is_statistics(line: str) -> bool:
    return re.match(r"processed \d+ insns|verification time", line) is not None


def _describe_program(hook: Hook) -> str:
    from orchestrator.compile.body_nodes import top_nodes
    from orchestrator.compile.describe import describe_node  # only for a program that is refused

    body = hook.body
    nodes = ", ".join(f"`{describe_node(node, body)}`" for node in islice(top_nodes(body), 6))
    return f"the program computes {nodes}" if nodes else "the program only counts"


def _describe_numbers(numbers: Sequence[OpenNumber]) -> str:
    shown = ", ".join(f"{one.name} = {one.value}" for one in numbers[:_MOST_NUMBERS])
    omitted = len(numbers) - _MOST_NUMBERS
    more = f" and {omitted} more" if omitted > 0 else ""
    return f"; the numbers filled in are {shown}{more}" if shown else ""


def attach_side(
    side: HookSide,
    mechanism: Mechanism,
    program: int,
    options: AttachOptions,
    processes: Sequence[int] = (),
) -> Attachment:
    """Attach a loaded program; `processes`: those that get a probe in user code (none: all do).
    Raises links.AttachRefused, and ValueError for a place that cannot
    be written as a definition."""
    hook = side.hook
    match mechanism:
        case "kprobe multi" | "uprobe multi":
            raise ValueError(f"{hook.label}: {mechanism} attaches several places at once")
        case "raw tracepoint":
            return links.attach_raw_tracepoint(hook.event or _tracepoint_name(hook), program)
        case "perf tracepoint":
            return _attach_perf_tracepoint(side, program)
        case "fentry":
            make = links.attach_fexit if is_at_return(side) else links.attach_fentry
            return make(hook.symbol, program)
        case "dynamic event":
            event = _define_event(side, options.run_id)
            return links.attach_dynamic_event(
                event,
                program,
                lambda name: options.journal("event", name),
                processes=processes,
            )
        case "kprobe PMU":
            return links.attach_kprobe_pmu(
                hook.symbol, program, offset=hook.offset, returns=is_at_return(side)
            )
        case "uprobe PMU":
            return links.attach_uprobe_pmu(
                hook.path,
                hook.file_offset,
                program,
                returns=is_at_return(side),
                ref_counter=hook.semaphore,
                identity=hook.identity,
            )
        case "perf clock":
            if hook.period_ns:
                return clock.attach_interval(hook.period_ns, program)
            return clock.attach_perf_clock(hook.frequency, program)
        case "iterator":
            return links.attach_iterator(hook.event, program)
        case "perf event":
            if hook.counter is None:
                raise ValueError(f"{hook.label} names no event")
            return clock.attach_counter(hook.label, hook.counter, hook.period, program)


def _tracepoint_name(hook: Hook) -> str:
    return hook.tracepoint.event if hook.tracepoint is not None else ""


def _attach_perf_tracepoint(side: HookSide, program: int) -> Attachment:
    event = side.tracepoint
    if event is None or event.id is None:
        raise ValueError(f"{side.hook.label}: the kernel reports no number for this event")
    return links.attach_perf_tracepoint(event.id, program, place=f"{event.category}:{event.event}")


def _define_event(side: HookSide, run_id: str) -> Event:
    """The definition of the side's dynamic event. Its name contains the run's id, since the
    kernel's profiles list names without groups."""
    hook = side.hook
    run = re.sub(r"[^a-z0-9]", "_", run_id.lower())[:24]
    place: Mapping[str, object] = (
        {
            "path": hook.path,
            "identity": hook.identity,
            "offset": hook.file_offset,
            "ref_counter": hook.semaphore,
        }
        if hook.traits.space == "user"
        else {"symbol": hook.symbol, "offset": hook.offset}
    )
    return Event(
        group=f"probeplan_{run}",
        name=f"pp_{run}_{hook.id}_{side.name}",
        returns=is_at_return(side),
        **place,  # type: ignore[arg-type]  # the keywords that Event has for one kind of place
    )
