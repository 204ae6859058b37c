"""How many results of unattended runs stay on this host: the oldest of a plan go first.

Order is by when a result was written; what was written later than now (the clock was set back)
counts as the oldest, so that it does not stay for ever. Runs without a whole result (killed, or the
disk was full) and those that were not made (skipped, quarantined, refused) may be many: they are
counted separately, and push out none that is whole.
"""

import os
import time
from collections.abc import Container, Sequence
from pathlib import Path

from orchestrator.plan.units import UnitError, format_bytes, parse_bytes, parse_count
from orchestrator.run.unattended.kept_run import KeptRun, read_kept_run, remove_run
from orchestrator.run.unattended.state_files import private_directory
from orchestrator.values import dataclass

__all__ = ["USUALLY_KEPT", "Keep", "Pruned", "prune_results", "read_keep"]

_MOST_RUNS = 100_000
_FEWEST_BYTES = 1 << 20
_HINT = "write a number of runs, and a size if you like: 20, or 20,200MiB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """How much is kept of each plan's results: at most so many `runs`, and `bytes` (None: of any
    size)."""

    runs: int
    bytes: int | None

    def __str__(self) -> str:
        return f"{self.runs}" if self.bytes is None else f"{self.runs},{format_bytes(self.bytes)}"


USUALLY_KEPT = Keep(runs=20, bytes=200 << 20)


def read_keep(text: str) -> Keep:
    """`20` or `20,200MiB` as Keep. Raises UnitError, whose `hint` says what to write."""
    runs, comma, size = text.partition(",")
    try:
        return Keep(
            runs=parse_count(runs, high=_MOST_RUNS),
            bytes=parse_bytes(size, low=_FEWEST_BYTES) if comma else None,
        )
    except UnitError as error:
        raise UnitError(str(error), f"{error.hint}; {_HINT}", absurd=error.absurd) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What became of old results: `removed`, and `failed` with the reason (they are still there, in
    part or whole)."""

    removed: tuple[Path, ...] = ()
    failed: tuple[tuple[Path, str], ...] = ()


def prune_results(plan: Path, keep: Keep) -> Pruned:
    """Remove the oldest results in the directory of a plan until `keep` holds, and never the newest
    that is whole, or one of a run that goes on. What is no result of ours is left alone and not
    counted. Call it when the run's result is written. Raises OSError where the directory cannot be
    used."""
    try:
        with private_directory(plan) as directory:
            runs = _list_runs(directory, time.time_ns())
            kept = {run.name for run in runs if run.goes_on}
            kept |= {run.name for run in [run for run in runs if run.is_whole][-1:]}
            return _remove_runs(directory, plan, _find_surplus(runs, keep, kept))
    except FileNotFoundError:
        return Pruned()


def _list_runs(directory: int, now_ns: int) -> list[KeptRun]:
    """Those in a plan's open directory, the oldest first."""
    names = os.listdir(directory)
    runs = [run for run in (read_kept_run(directory, name) for name in names) if run is not None]
    return sorted(runs, key=lambda run: (run.written_ns <= now_ns, run.written_ns, run.name))


def _find_surplus(runs: Sequence[KeptRun], keep: Keep, kept: Container[str]) -> list[KeptRun]:
    """Those beyond either bound and not `kept`, of `runs` in order, the oldest first."""
    counted = ([run for run in runs if run.is_whole is whole] for whole in (True, False))
    beyond = {run.name for some in counted for run in some[: -keep.runs]}
    size = sum(run.bytes for run in runs if run.name in kept or run.name not in beyond)
    surplus = []
    for run in runs:
        too_large = keep.bytes is not None and size > keep.bytes
        if run.name not in kept and (run.name in beyond or too_large):
            surplus.append(run)
            size -= 0 if run.name in beyond else run.bytes
    return surplus


def _remove_runs(directory: int, plan: Path, runs: Sequence[KeptRun]) -> Pruned:
    removed, failed = [], []
    for run in runs:
        try:
            remove_run(directory, run.name)
        except OSError as error:
            failed.append((plan / run.name, error.strerror or "unknown"))
        else:
            removed.append(plan / run.name)
    return Pruned(removed=tuple(removed), failed=tuple(failed))
