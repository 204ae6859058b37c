"""A plan that watches the whole host while trouble is made, as in an incident."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.product import ROOT, Ran

__all__ = ["Question", "ask"]

#: The machine that tests run on may be so slow that a plan takes more than its usual share of it.
_UNBOUND = ("--limit", "cpu=100%", "--limit", "rate=100k/s", "--limit", "events=1M")
_PATIENCE_S = 120
_INTERRUPTED = 130


class Question:
    """A run that is live inside of `ask`; `ran` is what it wrote, once that has ended."""

    ran: Ran


@contextmanager
def ask(folder: Path, plan: str, *options: str) -> Iterator[Question]:
    """`probeplan run PLAN` is armed when the block begins, and interrupted when it has ended, as by
    Ctrl-C. The trouble is known from the answer, so no target is given but in `options`."""
    question = Question()
    log, errors = folder / f"{plan}.jsonl", folder / f"{plan}.err"
    words = [sys.executable, "-m", "orchestrator.cli", "run", plan, "--no-progress", *_UNBOUND]
    with log.open("wb") as out, errors.open("wb") as complaints:
        run = subprocess.Popen([*words, *options], cwd=ROOT, stdout=out, stderr=complaints)
    try:
        _wait_until_armed(run, log, errors)
        yield question
        time.sleep(0.2)  # what was caused last is seen before the end
        run.send_signal(signal.SIGINT)
        assert run.wait(_PATIENCE_S) == _INTERRUPTED, errors.read_text()
    finally:
        if run.poll() is None:
            os.kill(run.pid, signal.SIGTERM)
            run.wait(_PATIENCE_S)
    question.ran = Ran.of(log.read_bytes())


def _wait_until_armed(run: "subprocess.Popen[bytes]", log: Path, errors: Path) -> None:
    """Until the first record, which is written when all probes are armed."""
    deadline = time.monotonic() + _PATIENCE_S
    while b"\n" not in log.read_bytes():
        assert run.poll() is None, errors.read_text()
        assert time.monotonic() < deadline, errors.read_text()
        time.sleep(0.05)
