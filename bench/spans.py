"""Events joined by key: time off the CPU by stacks at a rate that no sane host has, and a million
objects that are live at once. Counts and bytes; what a span adds to a call, `cost` says."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.figures import Figure, Target
from bench.process import Load, Process
from bench.setting import NotPossible, Setting
from bench.tools import finished, ours, started

__all__ = ["spans"]

HANDOVERS = 600_000
OBJECTS = 1_000_000
_OFF_CPU = "off-cpu-time"  # the shipped plan
_NOTHING = Target(at="most", bound=0)
_RATE = Target(at="least", bound=100)


def spans(setting: Setting) -> list[Figure]:
    """The two, one after the other."""
    return [*_switches(setting), *_objects(setting)]


# ---------------------------------------------------------------- switches


@dataclass(frozen=True, slots=True, kw_only=True)
class Switching:
    """Switches a second that the two threads made at least, and what was lost of spans, cells and
    stacks."""

    per_s: float
    lost: int
    complete: bool


def _switches(setting: Setting) -> list[Figure]:
    """off-cpu-time beside two threads of one CPU that wake each other."""
    handovers = setting.of(HANDOVERS, 1000)
    turns = []
    for number in range(setting.rounds):
        setting.say(f"spans: {2 * handovers:,} switches, round {number + 1}")
        turns.append(_switching(setting, handovers))
    return [
        Figure(
            name="off-CPU time by stacks: switches made",
            unit="k/s",
            ours=[turn.per_s / 1e3 for turn in turns],
            target=_RATE,
        ),
        Figure(
            name="spans, cells and stacks lost meanwhile",
            unit="",
            ours=[turn.lost for turn in turns],
            target=_NOTHING,
        ),
        Figure(
            name="runs that say they are incomplete",
            unit="",
            ours=[int(not turn.complete) for turn in turns],
            target=_NOTHING,
        ),
    ]


def _switching(setting: Setting, handovers: int) -> Switching:
    with (
        Load(setting, "switch", handovers) as load,
        ours(setting, _OFF_CPU, "--duration", "120s") as process,
    ):
        load.go()
        made, seconds = load.result()
        process.finish()
        record = finished(process)
    seen = record["ledger"]["spans"]["blocked"]["counts"]["started"]
    if seen < 2 * made:
        raise NotPossible(f"{2 * made:.0f} switches were made, and {seen} were seen")
    return Switching(per_s=2 * made / seconds, lost=_lost(record), complete=record["complete"])


def _lost(record: dict[str, Any]) -> int:
    """Whatever had no room, or was seen by the kernel and not by us."""
    span = record["ledger"]["spans"]["blocked"]
    stacks = record["ledger"]["stacks"]
    cells = sum(one["map_full"] + one["map_busy"] for one in span["metrics"].values())
    missed = sum(
        side["kernel_missed"] or 0
        for probe in record["ledger"]["probes"].values()
        for hook in probe["hooks"]
        for side in hook["sides"].values()
    )
    lost: int = (
        span["counts"]["map_full"] + cells + stacks["map_full"] + stacks["map_busy"] + missed
    )
    return lost


# ---------------------------------------------------------------- live objects


@dataclass(frozen=True, slots=True, kw_only=True)
class Living:
    """Objects that are told too few or too many; MiB of the kernel's maps and of what
    limits.memory allows; and whether the run is complete."""

    wrong: int
    taken_mib: float
    allowed_mib: float


def _objects(setting: Setting) -> list[Figure]:
    """A million at once."""
    objects = setting.of(OBJECTS, 1000)
    turns = []
    for number in range(setting.rounds):
        setting.say(f"spans: {objects:,} live objects, round {number + 1}")
        turns.append(_living(setting, objects))
    return [
        Figure(
            name=f"{objects:,} live objects: told too few or too many",
            unit="",
            ours=[turn.wrong for turn in turns],
            target=_NOTHING,
        ),
        Figure(
            name="memory of their maps",
            unit="MiB",
            ours=[turn.taken_mib for turn in turns],
            peer="limits.memory",
            theirs=[turn.allowed_mib for turn in turns],
            target=Target(at="most", bound=1),
        ),
    ]


def _living(setting: Setting, objects: int) -> Living:
    with (
        Load(setting, "objects", objects) as load,
        ours(setting, "objects", "--target", f"pid={load.pid}") as process,
    ):
        load.go()
        load.result()
        taken = _map_bytes(process)
        process.finish()
        record = finished(process)
        allowed = started(process)["limits"]["memory"]["value"]
    counts = record["ledger"]["spans"]["live"]["counts"]
    half = objects // 2
    wrong = abs(counts["started"] - objects) + abs(counts["ended"] - half)
    wrong += abs(counts["in_flight"] - (objects - half)) + counts["map_full"]
    return Living(wrong=wrong, taken_mib=taken / 2**20, allowed_mib=allowed / 2**20)


def _map_bytes(process: Process) -> int:
    """What the kernel says that the maps of a process take (map_show_fdinfo, kernel/bpf/syscall.c),
    each once, however many descriptors it has."""
    maps: dict[str, int] = {}
    for place in Path(f"/proc/{process.pid}/fdinfo").iterdir():
        told = dict(line.split(":", 1) for line in place.read_text().splitlines() if ":" in line)
        if "map_type" in told:
            maps[told["map_id"].strip()] = int(told["memlock"])
    if not maps:
        raise NotPossible("the run has no maps")
    return sum(maps.values())
