"""Files for node_exporter's textfile collector: one for each plan, written whole and renamed."""

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from orchestrator.export.lines import LogLine
from orchestrator.export.prometheus.exposition import render_text
from orchestrator.export.snapshot import Family, Sample, SeriesLabels, Snapshot
from orchestrator.output.replace_file import check_folder, replace_in_folder

__all__ = ["TextfileDestination"]

_MODE = 0o644
#: How long the end waits for a disk that does not answer.
_PATIENCE_S = 10.0


class TextfileDestination:
    """Writes probeplan-PLAN.prom into `directory`, in a separate thread; of several snapshots that
    wait the latest is written. `failed` is called there with the first error, and with the first
    after one that was written."""

    wants_events = False

    def __init__(self, directory: Path, per_octave: int, failed: Callable[[OSError], None]) -> None:
        self._folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._directory, self._per_octave, self._failed = directory, per_octave, failed
        self._error: OSError | None = None
        self._waiting: Snapshot | None = None
        self._is_over = False
        self._changed = threading.Condition()
        self._writer = threading.Thread(target=self._write_all, name="textfile", daemon=True)
        self._writer.start()

    def check(self) -> None:
        """Raise the OSError that writing would meet now."""
        check_folder(self._folder)

    def observe(self, line: LogLine) -> None:
        """Nothing: series are enough."""

    def publish(self, snapshot: Snapshot) -> None:
        """Write it soon, and none that waits."""
        with self._changed:
            self._waiting = snapshot
            self._changed.notify()

    def close(self) -> None:
        """Wait for the last snapshot to be written. Raises OSError if it was not."""
        with self._changed:
            self._is_over = True
            self._changed.notify()
        self._writer.join(_PATIENCE_S)
        if self._writer.is_alive():
            raise TimeoutError(None, "the disk does not answer", str(self._directory))
        os.close(self._folder)
        if self._error is not None:
            raise self._error

    def _write_all(self) -> None:
        while (snapshot := self._next()) is not None:
            try:
                self._write(snapshot)
            except OSError as error:
                found = OSError(error.errno, error.strerror, str(self._directory))
                if self._error is None:
                    self._failed(found)
                self._error = found
            else:
                self._error = None

    def _next(self) -> Snapshot | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting is not None or self._is_over)
            snapshot, self._waiting = self._waiting, None
            return snapshot

    def _write(self, snapshot: Snapshot) -> None:
        for plan, part in split_by_plan(snapshot):
            content = render_text(part, self._per_octave)
            # Other users read it, whatever the umask is.
            name = f"probeplan-{plan}.prom"
            replace_in_folder(self._folder, name, content, lambda file: os.fchmod(file, _MODE))


def split_by_plan(snapshot: Snapshot) -> Iterator[tuple[str, Snapshot]]:
    """A snapshot for each plan. node_exporter reads the files of all exports as one, in which no
    series may be there twice: series without a plan are in that of the first one, as its own."""
    plans = sorted({_plan_of(sample) for one in snapshot.families for sample in one.samples} - {""})
    for number, plan in enumerate(plans):
        wanted = ("", plan) if number == 0 else (plan,)
        families = (_choose(family, wanted, plan) for family in snapshot.families)
        kept = tuple(family for family in families if family.samples)
        yield plan, replace(snapshot, families=kept)


def _choose(family: Family, wanted: tuple[str, ...], plan: str) -> Family:
    chosen = (sample for sample in family.samples if _plan_of(sample) in wanted)
    samples = (Sample(_with_plan(sample.labels, plan), sample.value) for sample in chosen)
    return replace(family, samples=tuple(samples))


def _plan_of(sample: Sample) -> str:
    return next((value for name, value in sample.labels if name == "plan"), "")


def _with_plan(labels: SeriesLabels, plan: str) -> SeriesLabels:
    if any(name == "plan" for name, _ in labels):
        return labels
    return tuple(sorted((*labels, ("plan", plan))))
