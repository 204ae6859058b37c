"""Events joined by key: off-CPU time by stack at an extreme switch rate, and a million live
objects. Counts and bytes; `cost` measures what a span adds to a call."""

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
    """Both, one after the other."""
    return [*_switches(setting), *_objects(setting)]


# ---------------------------------------------------------------- switches


@dataclass(frozen=True, slots=True, kw_only=True)
class Switching:
    """Switches per second that the two threads made at least, and lost spans, cells and stacks."""

    per_s: float
    lost: int
    complete: bool


def _switches(setting: Setting) -> list[Figure]:
    """off-cpu-time while two threads on one CPU wake each other."""
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
    """What did not fit, or was seen by the kernel and not by us."""
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
    """Objects reported too few or too many; MiB of the kernel's maps and of limits.memory; and
    whether the run is complete."""

    wrong: int
    taken_mib: float
    allowed_mib: float


def _objects(setting: Setting) -> list[Figure]:
    """A million at the same time."""
    objects = setting.of(OBJECTS, 1000)
    turns = []
    for number in range(setting.rounds):
        setting.say(f"spans: {objects:,} live objects, round {number + 1}")
        turns.append(_living(setting, objects))
    return [
        Figure(
            name=f"{objects:,} live objects: reported too few or too many",
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
    """Memory of a process's maps according to the kernel (map_show_fdinfo, kernel/bpf/syscall.c),
    each map once, however many descriptors it has."""
    maps: dict[str, int] = {}
    for file in Path(f"/proc/{process.pid}/fdinfo").iterdir():
        fields = dict(line.split(":", 1) for line in file.read_text().splitlines() if ":" in line)
        if "map_type" in fields:
            maps[fields["map_id"].strip()] = int(fields["memlock"])
    if not maps:
        raise NotPossible("the run has no maps")
    return sum(maps.values())
