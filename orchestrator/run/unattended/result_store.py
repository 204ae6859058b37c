"""The results of unattended runs on this host: ROOT/PLAN/RUN, the oldest removed first.

A run holds an flock(2) on its directory while it goes on, an exclusive one as that on a journal:
those who look ask for a shared one, and do not take each other for a run. Order is by when a result
was written; what was written later than now (the clock was set back) counts as the oldest, so that
it does not stay for ever. Runs without a whole result (killed, or the disk was full) and those that
were not made (skipped, quarantined, refused) may be many: they are counted separately, and push out
none that is whole.
"""

import fcntl
import os
import time
from collections.abc import Container, Sequence
from pathlib import Path

from orchestrator.plan.units import UnitError, format_bytes, parse_bytes, parse_count
from orchestrator.run.unattended.kept_run import KeptRun, read_kept_run, remove_run
from orchestrator.run.unattended.state_files import DIRECTORY_FLAGS, private_directory
from orchestrator.values import dataclass

__all__ = ["Keep", "Pruned", "ResultStore", "read_keep"]

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


class ResultStore:
    """The results below `root`, which is made when it is needed. Close it when the run is over."""

    def __init__(self, root: Path, keep: Keep) -> None:
        self.root, self.keep = root, keep
        self._going_on: list[int] = []

    def make_run(self, plan_name: str, run_id: str) -> Path:
        """Make the directory of a run (0700, empty, its name on disk) and hold it until `close`.
        Raises OSError, FileExistsError where a run has that id."""
        plan = self._plan_directory(plan_name)
        with private_directory(self.root, make=True), private_directory(plan, make=True) as parent:
            directory = _make_directory(parent, _require_name(run_id), plan / run_id)
        self._going_on.append(directory)
        fcntl.flock(directory, fcntl.LOCK_EX)
        return plan / run_id

    def prune(self, plan_name: str) -> Pruned:
        """Remove a plan's oldest results until `keep` holds, and never the newest that is whole,
        or one of a run that goes on. What is no result of ours is left alone and not counted. Call
        it when the run's result is written. Raises OSError where the plan's directory cannot be
        used."""
        try:
            with private_directory(self._plan_directory(plan_name)) as directory:
                runs = _list_runs(directory, time.time_ns())
                kept = {run.name for run in runs if run.goes_on}
                kept |= {run.name for run in [run for run in runs if run.is_whole][-1:]}
                return self._remove_runs(directory, plan_name, self._find_surplus(runs, kept))
        except FileNotFoundError:
            return Pruned()

    def close(self) -> None:
        """The runs that were made here go on no longer. Idempotent."""
        while self._going_on:
            os.close(self._going_on.pop())

    def _plan_directory(self, plan_name: str) -> Path:
        return self.root / _require_name(plan_name)

    def _find_surplus(self, runs: Sequence[KeptRun], kept: Container[str]) -> list[KeptRun]:
        """Those beyond either bound and not `kept`, of `runs` in order, the oldest first."""
        counted = ([run for run in runs if run.is_whole is whole] for whole in (True, False))
        beyond = {run.name for some in counted for run in some[: -self.keep.runs]}
        size = sum(run.bytes for run in runs if run.name in kept or run.name not in beyond)
        surplus = []
        for run in runs:
            too_large = self.keep.bytes is not None and size > self.keep.bytes
            if run.name not in kept and (run.name in beyond or too_large):
                surplus.append(run)
                size -= 0 if run.name in beyond else run.bytes
        return surplus

    def _remove_runs(self, directory: int, plan_name: str, runs: Sequence[KeptRun]) -> Pruned:
        removed, failed = [], []
        for run in runs:
            path = self._plan_directory(plan_name) / run.name
            try:
                remove_run(directory, run.name)
            except OSError as error:
                failed.append((path, error.strerror or "unknown"))
            else:
                removed.append(path)
        return Pruned(removed=tuple(removed), failed=tuple(failed))


def _make_directory(parent: int, name: str, path: Path) -> int:
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
        os.fsync(parent)
        return os.open(name, DIRECTORY_FLAGS, dir_fd=parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def _list_runs(directory: int, now_ns: int) -> list[KeptRun]:
    """Those in a plan's open directory, the oldest first."""
    names = os.listdir(directory)
    runs = [run for run in (read_kept_run(directory, name) for name in names) if run is not None]
    return sorted(runs, key=lambda run: (run.written_ns <= now_ns, run.written_ns, run.name))


def _require_name(name: str) -> str:
    """A name of one directory, as those of plans and runs are."""
    if not name or name.startswith(".") or "/" in name or "\0" in name:
        raise ValueError(f"{name!r} is no name of a plan or a run")
    return name
