"""Events as fast as one CPU makes them: a ring of 32 MiB loses nothing, and with a ring that is far
too small every loss is reported."""

from dataclasses import dataclass

from bench.drain import LINE, unaccounted
from bench.figures import Figure, Target
from bench.process import Load
from bench.setting import Setting
from bench.tools import emitted, finished, ours

__all__ = ["flood"]

CALLS = 4_000_000
NOTHING = Target(at="most", bound=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Where the calls of one burst went."""

    per_s: float
    lost: int
    unaccounted: int


def flood(setting: Setting) -> list[Figure]:
    """One burst into each of the two rings, in turns."""
    calls = setting.of(CALLS)
    turns: dict[str, list[Turn]] = {"flood": [], "overload": []}
    for number in range(setting.rounds):
        for plan, taken in turns.items():
            setting.say(f"flood: round {number + 1}, plan {plan}, {calls:,} calls")
            taken.append(_turn(setting, plan, calls))
    return [*_figures("32 MiB ring", turns["flood"], NOTHING), *_overload(turns["overload"])]


def _overload(turns: list[Turn]) -> list[Figure]:
    return _figures("128 KiB ring", turns, None)


def _figures(ring: str, turns: list[Turn], bound: Target | None) -> list[Figure]:
    return [
        Figure(name=f"{ring}: events made", unit="k/s", ours=[turn.per_s / 1e3 for turn in turns]),
        Figure(name=f"{ring}: lost", unit="events", ours=[t.lost for t in turns], target=bound),
        Figure(
            name=f"{ring}: calls not accounted for",
            unit="calls",
            ours=[turn.unaccounted for turn in turns],
            target=NOTHING,
        ),
    ]


def _turn(setting: Setting, plan: str, calls: int) -> Turn:
    with (
        Load(setting, "burst", calls) as load,
        ours(setting, plan, "--target", f"pid={load.pid}", room=calls * LINE) as process,
    ):
        load.go()
        seconds = load.result()[1]
        process.settle()
        process.finish()
        return Turn(
            per_s=calls / seconds,
            lost=emitted(finished(process))["ring_lost"],
            unaccounted=unaccounted(process, calls),
        )
