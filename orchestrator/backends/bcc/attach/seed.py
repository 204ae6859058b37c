"""What user space writes before programs are armed: parameters, bounds, extremes, tasks."""

import errno
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.handles.maps import Map
from orchestrator.backends.process_family import list_family, list_threads
from orchestrator.compile.program import ResolvedTarget, SpanProgram
from orchestrator.kernel.abi.cgroups import find_cgroups
from orchestrator.plan.model import Rate

UNLIMITED = (1 << 64) - 1
_U64 = struct.Struct("=Q")


def control_words(
    map_layout: layout.MapLayout, own_tgid: int, *, counting: bool = False
) -> list[int]:
    """The control element, disarmed. `own_tgid`: our process id as the kernel's programs see it;
    `counting`: the programs are a canary's."""
    program = map_layout.program
    words = [0] * (map_layout.control_bytes // layout.WORD)
    words[map_layout.plan_word("self")] = own_tgid
    words[map_layout.plan_word("counting")] = int(counting)
    words[map_layout.plan_word("cap")] = program.limits.events
    _put_rate(words, map_layout.plan_word("rate_gap"), program.limits.rate)
    for number, probe in enumerate(program.probes):
        words[map_layout.probe_word(number, "sample")] = probe.sample
        cap = UNLIMITED if probe.events is None else probe.events
        words[map_layout.probe_word(number, "cap")] = cap
        if probe.rate is not None:
            _put_rate(words, map_layout.probe_word(number, "rate_gap"), probe.rate)
    for param in program.params:
        words[map_layout.param_word(param.slot)] = param.value & UNLIMITED
    return words


def _put_rate(words: list[int], gap_at: int, rate: Rate) -> None:
    """Write the gap between two records, and how early one may come, in ns, into two consecutive
    words."""
    words[gap_at] = rate.gap_ns
    words[gap_at + 1] = rate.early_ns


def ledger_element(map_layout: layout.MapLayout, side: layout.HookSide, cpus: int) -> bytes:
    """The first element of one side: zeros, except the initial values of minima and maxima."""
    specs = {metric.index: metric for metric in map_layout.program.metrics}
    words = [0] * (map_layout.ledger_bytes // layout.WORD)
    for number, use in enumerate(side.hook.body.metrics):
        words[map_layout.metric_word(number, "value")] = layout.initial_extreme(specs[use.metric])
    return struct.pack(f"={len(words)}Q", *words) * cpus


def span_element(map_layout: layout.MapLayout, span: SpanProgram, cpus: int) -> bytes:
    """The same for a span."""
    words = [0] * (map_layout.ledger_bytes // layout.WORD)
    for number, metric in enumerate(span.metrics):
        words[map_layout.metric_word(number, "value")] = layout.initial_extreme(metric)
    return struct.pack(f"={len(words)}Q", *words) * cpus


def seed_tasks(tasks: Map, target: ResolvedTarget, root_pid: int | None) -> None:
    """Put the numbers of the target into the map, each with what it is there for; twice, for
    threads created while it is read. `root_pid`: the run's command, which is followed."""
    for _ in range(2):
        for number, bits in target_numbers(target, root_pid).items():
            tasks.update(struct.pack("=I", number), bytes([bits]))


def target_numbers(target: ResolvedTarget, root_pid: int | None) -> dict[int, int]:
    """The bits of each number that the target has now. A process or thread that does not exist is
    awaited: the first task with its number is meant."""
    found: dict[int, int] = {}

    def add(number: int, name: str) -> None:
        found[number] = found.get(number, 0) | layout.NUMBER_BITS[name]

    for number in target.tid:
        add(number, "thread")
    for number in target.pid:
        add(number, "process")
    if target.children:
        processes = target.pid if root_pid is None else list_family(root_pid)
        for process in processes:
            for number in list_threads(process) or [process]:
                add(number, "followed")
    for process in target.left_out.pid if target.left_out.children else ():
        for one in list_family(process):
            for number in list_threads(one) or [one]:
                add(number, "left_out")
    for number in (*target.tid, *target.pid):
        if not Path(f"/proc/{number}").exists():
            add(number, "awaited")
    return found


def seed_cgroups(cgroups: Map, patterns: Iterable[tuple[str, str]]) -> None:
    """Put what matches the patterns now into the map, each with its roles. Those that are made
    later, a program puts there. What there is no room for is counted."""
    bits: dict[int, int] = {}
    for role, pattern in patterns:
        for number in find_cgroups(pattern).values():
            bits[number] = bits.get(number, 0) | layout.CGROUP_BITS[role]
    lost = 0
    for number, roles in bits.items():
        try:
            cgroups.update(_U64.pack(number), _U64.pack(roles))
        except OSError as error:
            if error.errno != errno.E2BIG:
                raise
            lost += 1
    if lost:
        add_lost_cgroups(cgroups, lost)


def add_lost_cgroups(cgroups: Map, number: int) -> None:
    """Count so many more cgroups that do not fit into the map. Its key is there before programs
    look for it, and before the map can be full."""
    lost = read_lost_cgroups(cgroups) + number
    cgroups.update(_U64.pack(layout.LOST_CGROUPS), _U64.pack(lost))


def read_lost_cgroups(cgroups: Map) -> int:
    """How many cgroups that match a pattern did not fit."""
    value = cgroups.lookup(_U64.pack(layout.LOST_CGROUPS))
    return int.from_bytes(value or b"", sys.byteorder)
