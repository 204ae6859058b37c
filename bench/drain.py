"""From the kernel to JSON lines: lines per CPU second of the reader, for each tool in its usual
mode, with the same records from the same load."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.figures import Figure, Target
from bench.process import Load, Process
from bench.setting import Setting
from bench.tools import EVENT, bpftrace, emitted, events_in, finished, ours, perf_buffer, side

__all__ = ["drain"]

CALLS = 2_000_000
LINE = 320  # bytes, at most
PEERS = {"bpftrace -f json": 12.0, "bcc perf buffer + json": 20.0}
_BPFTRACE = (
    f"tracepoint:syscalls:{EVENT} /pid == %d/ "
    '{ printf("%%llu %%d %%d %%d %%d %%s", nsecs, cpu, pid, tid, args->__syscall_nr, comm) }'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One tool's turn. `unaccounted`: calls for which it reports neither a line nor a loss (None:
    it does not account); `load_s`: how long the load took while it ran."""

    lines: int
    process_cpu_s: float
    drain_cpu_s: float
    load_s: float
    unaccounted: int | None = None


def drain(setting: Setting) -> list[Figure]:
    """Lines per reader CPU second from the moment the probe is attached, to which the targets
    apply, and for the whole process: start-up has a separate benchmark, and its share here depends
    only on the number of calls. Output files are in memory; their lines are counted."""
    calls = setting.of(CALLS)
    turns: dict[str, list[Turn]] = {name: [] for name in _TOOLS}
    for number in range(setting.rounds):
        for name, take in _TOOLS.items():
            setting.say(f"drain: round {number + 1}, {name}, {calls:,} calls")
            turns[name].append(take(setting, calls))
    mine = turns.pop("probeplan")
    figures = [_rate(mine, peer, turns[peer], least) for peer, least in PEERS.items()]
    figures += [_whole(mine, peer, turns[peer]) for peer in PEERS]
    figures += [_share(mine, peer, turns[peer], calls) for peer in PEERS]
    lost = [float(turn.unaccounted or 0) for turn in mine]
    nothing = Target(at="most", bound=0)
    figures.append(Figure(name="calls not accounted for", unit="calls", ours=lost, target=nothing))
    return figures


def _rate(mine: list[Turn], peer: str, theirs: list[Turn], least: float) -> Figure:
    return Figure(
        name="lines per CPU second, once attached",
        unit="k/s",
        ours=[turn.lines / turn.drain_cpu_s / 1e3 for turn in mine],
        peer=peer,
        theirs=[turn.lines / turn.drain_cpu_s / 1e3 for turn in theirs],
        target=Target(at="least", bound=least),
    )


def _whole(mine: list[Turn], peer: str, theirs: list[Turn]) -> Figure:
    return Figure(
        name="lines per CPU second, whole process",
        unit="k/s",
        ours=[turn.lines / turn.process_cpu_s / 1e3 for turn in mine],
        peer=peer,
        theirs=[turn.lines / turn.process_cpu_s / 1e3 for turn in theirs],
    )


def _share(mine: list[Turn], peer: str, theirs: list[Turn], calls: int) -> Figure:
    return Figure(
        name="of the calls, lines delivered",
        unit="%",
        ours=[100 * turn.lines / calls for turn in mine],
        peer=peer,
        theirs=[100 * turn.lines / calls for turn in theirs],
    )


# ---------------------------------------------------------------- a turn each


def _ours(setting: Setting, calls: int) -> Turn:
    with Load(setting, "burst", calls) as load:
        process = ours(setting, "drain", "--target", f"pid={load.pid}", room=calls * LINE)
        return _turn(
            process, load, b'"event":"event.recorded"', lambda: unaccounted(process, calls)
        )


def unaccounted(process: Process, calls: int) -> int:
    """How far a finished run of ours is from reporting each of `calls` calls either as a line in
    its output or as a loss, and from having seen each once."""
    record = finished(process)
    seen, ends = side(record), emitted(record)
    lines = events_in(process.output, b'"event":"event.recorded"')
    lost = ends["rate_limited"] + ends["over_cap"] + ends["ring_lost"]
    return abs(calls - seen["accepted"]) + abs(calls - lines - lost)


def _bpftrace(setting: Setting, calls: int) -> Turn:
    with Load(setting, "burst", calls) as load:
        process = bpftrace(setting, _BPFTRACE % load.pid, "-f", "json", room=calls * LINE)
        return _turn(process, load, b'"type": "printf"')


def _perf_buffer(setting: Setting, calls: int) -> Turn:
    with Load(setting, "burst", calls) as load:
        return _turn(perf_buffer(setting, load.pid, room=calls * LINE), load, b'{"time": ')


def _turn(
    process: Process, load: Load, mark: bytes, missing: Callable[[], int] | None = None
) -> Turn:
    with process:
        before = process.cpu_s()
        load.go()
        load_s = load.result()[1]
        process.settle()
        drained = process.cpu_s() - before
        usage = process.finish()
        return Turn(
            lines=events_in(process.output, mark),
            process_cpu_s=usage.cpu_s,
            drain_cpu_s=drained,
            load_s=load_s,
            unaccounted=None if missing is None else missing(),
        )


_TOOLS: Mapping[str, Callable[[Setting, int], Turn]] = {
    "probeplan": _ours,
    "bpftrace -f json": _bpftrace,
    "bcc perf buffer + json": _perf_buffer,
}
