"""Where a host keeps what it knows of its unattended runs."""

import errno
import os
from pathlib import Path

from orchestrator.plan.findings import Finding, HostError, Position
from orchestrator.run.unattended.state_files import open_private_directory
from orchestrator.values import dataclass

__all__ = ["ROOT", "StateDirectories", "StateError", "open_state"]

ROOT = Path("/var/lib/probeplan")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


class StateError(HostError):
    """The state cannot be kept. `is_full`: the disk is full, or broken."""

    def __init__(self, error: OSError) -> None:
        self.is_full = error.errno in _FULL
        hint = "free some space" if self.is_full else "run as root, and make it root's alone (0700)"
        finding = Finding(
            code="PP262",
            message=f"the state of unattended runs cannot be kept: {error.filename}: "
            f"{error.strerror}",
            position=Position(file="this host"),
            hint=hint,
        )
        super().__init__([finding])


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDirectories:
    """The directories below `root`; only its owner can look into them."""

    root: Path

    @property
    def results(self) -> Path:
        """Results: PLAN/RUN/, as `--out` writes them."""
        return self.root / "results"

    @property
    def quarantine(self) -> Path:
        """Plans that are not run for a while: DIGEST.json."""
        return self.root / "quarantine"

    @property
    def running(self) -> Path:
        """Marks of runs that are armed: RUN.json."""
        return self.root / "running"

    @property
    def locks(self) -> Path:
        """One lock for each plan: PLAN.lock."""
        return self.root / "locks"


def open_state(root: Path = ROOT) -> StateDirectories:
    """The directories, made if need be. Raises StateError where they cannot be made, or where
    another user can write to them."""
    state = StateDirectories(root=root)
    try:
        for directory in (root, state.results, state.quarantine, state.running, state.locks):
            os.close(open_private_directory(directory, make=True))
    except OSError as error:
        raise StateError(error) from None
    return state
