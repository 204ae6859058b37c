"""What is known of a machine before it ends: with a shell in QEMU's place."""

import os
from pathlib import Path

import pytest

from orchestrator.lab.guest import _watch

STARTS = "echo probeplan-guest: job starts"


class Notes:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.boots: list[float] = []
        self.looks = 0

    def job_started(self, boot_seconds: float) -> None:
        self.boots.append(boot_seconds)

    def look(self) -> None:
        self.looks += 1


def test_an_observer_hears_of_the_start_once_and_looks_after_the_end() -> None:
    notes = Notes()
    watched = _watch(["sh", "-c", f"{STARTS}; echo more"], 60, 0, notes)
    assert notes.boots == [watched.boot_seconds]
    assert notes.looks >= 2
    assert not watched.timed_out


@pytest.mark.timeout(30)
def test_a_silent_machine_is_looked_at_until_its_time_is_up() -> None:
    notes = Notes()
    watched = _watch(["sleep", "infinity"], 0.3, 0, notes)
    assert watched.timed_out
    assert notes.looks >= 3
    assert notes.boots == []


class ClosedPipe(Notes):
    """An observer whose reader has gone."""

    def look(self) -> None:
        if self.boots:
            raise BrokenPipeError


@pytest.mark.timeout(30)
def test_a_machine_whose_output_nobody_takes_is_ended(tmp_path: Path) -> None:
    """`probeplan rehearse … | head`."""
    script = f"echo $$ > {tmp_path}/pid; {STARTS}; exec sleep infinity"
    with pytest.raises(BrokenPipeError):
        _watch(["sh", "-c", script], 60, 0, ClosedPipe())
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
