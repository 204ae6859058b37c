"""A process that measures a check, and is ended in the midst of it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from orchestrator.check.processes.tree import find_descendants
from tests.support.paths import ROOT
from tests.support.settling import until


def end_in_the_midst(script: str, folder: Path, number: int) -> set[int]:
    """Run a script of Python with `folder` as its argument, send it a signal once its workload has
    made the file at/here there, and wait for the end of all its processes; returns their pids."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    with process.stderr:
        assert until((folder / "at" / "here").exists), process.poll()
        started = set(find_descendants(process.pid))
        process.send_signal(number)
        process.wait(30)
        error = process.stderr.read()
    assert number == signal.SIGKILL or b"Interrupted" in error
    assert until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started))
    return started
