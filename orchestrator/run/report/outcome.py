"""How a run and its command ended."""

from typing import Literal

from orchestrator.values import dataclass

__all__ = ["CommandResult", "Outcome"]

#: What ended a run.
Outcome = Literal[
    "duration", "cap", "command", "stop_when", "interrupted", "limit", "cost", "output", "error"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """How COMMAND ended: its exit `status`, or the `signal` that ended it; neither while it runs.
    `ended_by_us`: it was sent the signal that ended the run. `left`: (pid, comm) of descendants
    that are still running."""

    argv: tuple[str, ...]
    pid: int
    status: int | None = None
    signal: str | None = None
    ended_by_us: bool = False
    left: tuple[tuple[int, str], ...] = ()

    @property
    def failed(self) -> bool:
        """True if it ended by itself, with a status other than 0 or by a signal."""
        return not self.ended_by_us and (bool(self.status) or self.signal is not None)
