"""The results of unattended runs on this host, ROOT/PLAN/RUN, while they are written.

A run holds an flock(2) on its directory while it goes on, an exclusive one as that on a journal:
those who look ask for a shared one, and do not take each other for a run.
"""

import fcntl
import os
from pathlib import Path

from orchestrator.run.unattended.state_files import DIRECTORY_FLAGS, private_directory

__all__ = ["ResultStore"]


class ResultStore:
    """The results below `root`, which is made when it is needed. Close it when the run is over."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._going_on: list[int] = []

    def make_run(self, plan_name: str, run_id: str) -> Path:
        """Make the directory of a run (0700, empty, its name on disk) and hold it until `close`.
        Raises OSError, FileExistsError where a run has that id."""
        plan = self.plan_directory(plan_name)
        with private_directory(self.root, make=True), private_directory(plan, make=True) as parent:
            directory = _make_directory(parent, _require_name(run_id), plan / run_id)
        self._going_on.append(directory)
        fcntl.flock(directory, fcntl.LOCK_EX)
        return plan / run_id

    def plan_directory(self, plan_name: str) -> Path:
        """Where the results of a plan are, if it has any."""
        return self.root / _require_name(plan_name)

    def close(self) -> None:
        """The runs that were made here go on no longer. Idempotent."""
        while self._going_on:
            os.close(self._going_on.pop())


def _make_directory(parent: int, name: str, path: Path) -> int:
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
        os.fsync(parent)
        return os.open(name, DIRECTORY_FLAGS, dir_fd=parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def _require_name(name: str) -> str:
    """A name of one directory, as those of plans and runs are."""
    if not name or name.startswith(".") or "/" in name or "\0" in name:
        raise ValueError(f"{name!r} is no name of a plan or a run")
    return name
