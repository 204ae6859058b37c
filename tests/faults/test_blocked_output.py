"""A reader of the output that stops reading: deadline, cap and signals detach the probes all the
same, and what could not be written is counted and reported."""

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.cli import UPROBE, Process, caller, gone, plan_of, probeplan
from tests.faults.kernel_state import left_by, waited
from tests.faults.rings import produced
from tests.support.product import Ran

backends = pytest.mark.parametrize("backend", ["bcc", "tracefs"])
STUCK = 100_000  # bytes of records: far more lines than a terminal holds
#: Said after the end of a run whose last lines are not taken.
WAITING = b"everything is detached; the reader of the output has stopped reading"
JOURNALS = Path("/run/probeplan")


@dataclass(kw_only=True)
class Pipe:
    """A pipe that has room for a page, and whose reader reads nothing."""

    reader: int
    writer: int

    def read_rest(self) -> bytes:
        """All that is in it, until its last writer has ended."""
        os.close(self.writer)
        self.writer = -1
        with os.fdopen(os.dup(self.reader), "rb") as file:
            return file.read().lstrip()


@pytest.fixture
def full_pipe() -> Iterator[Pipe]:
    pipe = Pipe(**dict(zip(("reader", "writer"), os.pipe(), strict=True)))
    os.write(pipe.writer, b" " * ((1 << 16) - 4096))
    yield pipe
    for end in (pipe.reader, pipe.writer):
        if end >= 0:
            os.close(end)


def run_id_of(process: Process) -> str:
    """The name of its journal: the run is attached soon after that exists."""
    found: list[str] = []

    def find() -> bool:
        for journal in JOURNALS.glob("*.journal"):
            if f"\npid {process.pid}\n" in journal.read_text() and "+ " in journal.read_text():
                found.append(journal.stem)
        return bool(found)

    assert waited(find, 20)
    return found[0]


def is_attached(run_id: str) -> bool:
    return bool(left_by(run_id))


@backends
def test_the_deadline_detaches_whatever_the_reader_does(
    backend: str, tmp_path: Path, full_pipe: Pipe
) -> None:
    """The result directory has everything; what the reader did not take is counted as lost."""
    out = tmp_path / "out"
    with caller() as pid:
        plan = plan_of(tmp_path, UPROBE, pid, "2s")
        run = probeplan(
            "run", plan, "--backend", backend, "--out", str(out), stdout=full_pipe.writer
        )
        try:
            run_id = run_id_of(run)
            assert run.stderr is not None
            said = next((line for line in run.stderr if WAITING in line), b"")
            assert said
            assert not is_attached(run_id)
            run.send_signal(signal.SIGTERM)
            _, errors = run.communicate(timeout=30)
        finally:
            gone(run)
    assert run.returncode == 4, errors
    kept = json.loads((out / "result.json").read_bytes())["run"]
    assert (kept["outcome"], kept["exit_code"], kept["complete"]) == ("duration", 4, False)
    emit = kept["ledger"]["probes"]["call"]["emit"]
    assert emit["recorded"] > 100
    assert emit["recorded"] == emit["delivered"] + kept["lost"] - emit["ring_lost"]
    assert kept["lost"] > 50  # a page holds fewer


@backends
def test_the_cap_detaches_whatever_the_reader_does(
    backend: str, tmp_path: Path, full_pipe: Pipe
) -> None:
    """Long before the deadline; what was recorded arrives when the reader goes on."""
    with caller() as pid:
        plan = plan_of(tmp_path, UPROBE, pid, "10m")
        words = ("--backend", backend, "--limit", "events=1000", "--limit", "incomplete=allow")
        run = probeplan("run", plan, *words, stdout=full_pipe.writer)
        try:
            run_id = run_id_of(run)
            assert waited(lambda: not is_attached(run_id), 60)
            ran = Ran.of(full_pipe.read_rest())
            run.wait(timeout=30)
        finally:
            gone(run)
    assert (run.returncode, ran.finished["outcome"]) == (0, "cap")
    assert len(ran.of_kind("event.recorded")) == ran.finished["delivered"] == 1000
    assert ran.finished["lost"] == 0


@backends
def test_a_reader_that_goes_on_in_time_gets_everything(
    backend: str, tmp_path: Path, full_pipe: Pipe
) -> None:
    with caller() as pid:
        plan = plan_of(tmp_path, UPROBE, pid, "1s")
        run = probeplan("run", plan, "--backend", backend, stdout=full_pipe.writer)
        try:
            run_id = run_id_of(run)
            assert waited(lambda: not is_attached(run_id), 30)
            text = full_pipe.read_rest()
            run.wait(timeout=30)
        finally:
            gone(run)
    ran = Ran.of(text)
    assert run.returncode == 0
    assert ran.finished["complete"] in (True, "unknown")
    emit = ran.finished["ledger"]["probes"]["call"]["emit"]
    assert emit["recorded"] == emit["delivered"] == len(ran.of_kind("event.recorded")) > 100


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("shown", ["--json", "--rows=50"])
def test_a_signal_detaches_although_a_terminal_was_stopped(
    shown: str, number: signal.Signals, tmp_path: Path
) -> None:
    """As Ctrl-S does: neither lines, nor rows, nor the progress bar get through."""
    reader, terminal = pty.openpty()
    with caller() as pid:
        plan = plan_of(tmp_path, UPROBE, pid, "60s")
        run = probeplan("run", plan, shown, "--backend", "bcc", stdout=terminal, stderr=terminal)
        try:
            run_id = run_id_of(run)
            assert waited(lambda: produced(run.pid) > STUCK, 20)
            run.send_signal(number)
            assert waited(lambda: not is_attached(run_id), 5)
            os.close(reader)
            assert run.wait(timeout=30) == 128 + number
        finally:
            gone(run)
            os.close(terminal)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system for this test alone, which it may freeze."""
    if not Path("/dev/loop-control").exists():
        pytest.skip("this kernel lacks loop devices")
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(32 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    try:
        yield folder
    finally:
        freeze(folder, on=False)
        subprocess.run(["umount", folder], check=True)


def freeze(folder: Path, *, on: bool) -> None:
    """Nothing can be written to the file system, or again. Thawing one that is not frozen fails."""
    subprocess.run(["fsfreeze", "-f" if on else "-u", folder], check=on, stderr=subprocess.DEVNULL)


@backends
def test_the_deadline_detaches_although_the_file_system_does_not_answer(
    backend: str, tmp_path: Path, disk: Path
) -> None:
    """Both the redirected log and the result directory are on it. Once it answers in time, both
    get everything."""
    log, out = disk / "log", disk / "out"
    with caller() as pid, log.open("wb") as file:
        plan = plan_of(tmp_path, UPROBE, pid, "3s")
        run = probeplan("run", plan, "--backend", backend, "--out", str(out), stdout=file)
        try:
            run_id = run_id_of(run)
            assert waited(lambda: log.stat().st_size > 0, 20)
            freeze(disk, on=True)
            assert run.stderr is not None
            assert any(b"the file system of the output does not" in line for line in run.stderr)
            assert not is_attached(run_id)
            freeze(disk, on=False)
            _, errors = run.communicate(timeout=60)
        finally:
            freeze(disk, on=False)
            gone(run)
    assert run.returncode == 0, errors
    ran = Ran.of(log.read_bytes())
    assert ran.finished["complete"] in (True, "unknown")
    emit = ran.finished["ledger"]["probes"]["call"]["emit"]
    assert emit["recorded"] == emit["delivered"] == len(ran.of_kind("event.recorded")) > 100
    kept = Ran.of((out / "events.jsonl").read_bytes())
    assert len(kept.of_kind("event.recorded")) == emit["delivered"]
