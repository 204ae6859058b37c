"""The options of a run, apart from the plan, its policies and its backend."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from orchestrator.accounting.count import Count
from orchestrator.output.run_output import RecordView
from orchestrator.output.sink import Sink
from orchestrator.plan.findings import HostError
from orchestrator.run.report.outcome import Outcome
from orchestrator.run.report.result_keeper import ResultKeeper
from orchestrator.run.safety.journal import DIRECTORIES
from orchestrator.values import dataclass

if TYPE_CHECKING:
    from orchestrator.compile.program import Program
    from orchestrator.run.metrics.reporter import Measured

__all__ = ["LEASE_NS", "Bar", "RunNotBegun", "RunOptions", "RunWatch"]

#: How long the kernel goes on recording for an unlimited run whose reader has died or hangs.
LEASE_NS = 10_000_000_000


class RunNotBegun(HostError):
    """This host cannot begin the run, which has left no record, `because` of this."""

    def __init__(self, because: HostError) -> None:
        super().__init__(because.findings)
        self.because = because


class Bar(Protocol):
    """What the loop reports its progress to: a progress bar or a live view."""

    def follow(self, look: Callable[[], "Measured"], program: "Program") -> None:
        """Called once when the probes of `program` are armed; `look` gives what was measured so
        far."""

    def update(self, elapsed_s: float, events: int, lost: Count) -> None:
        """The time since arming, and the events written and lost so far."""

    def announce(self, text: str) -> None:
        """What takes a while before the probes are armed."""

    def hide(self) -> None:
        """Make room for lines on the same terminal."""


class RunWatch(Protocol):
    """What watches over a run that no one else does. Its methods may raise, which fails the run."""

    @property
    def marker(self) -> Path:
        """A file that is there from `begin` to `end`."""

    def begin(self) -> None:
        """Called before anything is attached."""

    def judge(self, outcome: Outcome, errors: Sequence[BaseException]) -> None:
        """Called when the probes record no more, or could not be attached, before they are
        detached and before the end is reported: what ended the run, and what went wrong so far."""

    def end(self) -> None:
        """Called when everything is detached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How to run; each as documented at `run_plan`. `out`: a directory; `keeper`: keeps the result
    where there is none. `log` None: standard
    output. `view`: shows the records to people. `folded`: an open file for metrics by stacks, as
    folded text. `label`: a text of the user that the log and the result carry. `describe_bundle`:
    what they say of the bundle that the plan is from, asked after attaching. `alone`: this process
    does nothing but this run.
    `needed_at_end`: modules that the caller needs then, imported once the probes are armed.
    `run_id`: the identity that the run has (None: one is drawn). `watch`: the run is unattended:
    one that cannot begin leaves no record and raises RunNotBegun, since the caller writes one; and
    the result is synced to the disk, with the names that lead to it."""

    command: tuple[str, ...] = ()
    out: str | os.PathLike[str] | None = None
    keeper: ResultKeeper | None = None
    log: Sink | None = None
    view: RecordView | None = None
    folded: BinaryIO | None = None
    progress: Bar | None = None
    notify: Callable[[str], None] = lambda _text: None
    journals: tuple[Path, ...] = DIRECTORIES
    keep_privileges: bool = True
    canary: bool = False
    label: str | None = None
    describe_bundle: Callable[[], dict[str, Any] | None] = lambda: None
    alone: bool = False
    run_id: str | None = None
    watch: RunWatch | None = None
    needed_at_end: tuple[str, ...] = ()
