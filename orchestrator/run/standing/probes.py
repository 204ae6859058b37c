"""Probes that are attached once and count one stretch after another, from `begin` to `end`.

Nothing is written and nothing is limited but by time: the plan makes no records, the governor only
observes, and while they count this process sleeps, unless a buffer fills.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from types import TracebackType
from typing import Protocol, Self

from orchestrator.accounting.count import Count, add_counts
from orchestrator.backends.descriptor_poll import poll_descriptors
from orchestrator.backends.protocol import Expense, Session
from orchestrator.cells.cell import Cell
from orchestrator.compile.program import Program
from orchestrator.output.fields import StackNames, no_stacks
from orchestrator.run.arming import Armed, arm
from orchestrator.run.choice import Prepared
from orchestrator.run.cost.observed import describe_excess
from orchestrator.run.ending.teardown import detach_all
from orchestrator.run.groundwork import Groundwork, draw_run_id, lay_groundwork
from orchestrator.run.metrics.open_spans import count_open_spans
from orchestrator.run.metrics.reading import Totals
from orchestrator.run.options import RunOptions
from orchestrator.run.report.account import Account, RecordStream, settle_account
from orchestrator.run.report.faults import Faults
from orchestrator.run.report.ledger import Delivery
from orchestrator.run.safety.leftovers import clean_up_dead_runs
from orchestrator.run.standing.stack_names import KeyStacks
from orchestrator.run.watched_names import WatchedNames
from orchestrator.values import dataclass

__all__ = ["StandingProbes", "Stretch", "StretchRecords"]

_STACKS_LOOK_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """What was counted from `began_ns` to `ended_ns` (CLOCK_MONOTONIC). `cells`: by metric index.
    `outstanding`: by the index of a span, what was open at its end, as sum_open_spans has it.
    `expired`: it was longer than limits.duration, after which nothing was counted. `fired`: by
    probe, how often it fired, for any process. `blind_because`: names that no longer stood for what
    is probed. `would_have`: what limits.cpu would have led to; nothing was done. `stacks`: the
    functions of a stack by its number, where there are any in keys."""

    began_ns: int
    ended_ns: int
    expired: bool
    cells: Totals
    account: Account
    fired: Mapping[str, Count]
    blind_because: tuple[str, ...]
    would_have: str | None
    stacks: StackNames = no_stacks
    outstanding: Mapping[int, Sequence[Cell]] = field(default_factory=dict)


class StretchRecords(RecordStream, Protocol):
    """What becomes of the records of stretches. `pause_s`: they are read so often at least."""

    @property
    def pause_s(self) -> float: ...


class StandingProbes:
    """The probes of a plan that `make_silent` made, attached while entered. `root_pid`: a process
    whose descendants are the target; `records`: makes what takes the records, of a plan that makes
    some. Raises what attaching raises, with all undone."""

    def __init__(
        self,
        prepared: Prepared,
        options: RunOptions,
        *,
        root_pid: int,
        records: Callable[[Session], StretchRecords] | None = None,
    ) -> None:
        self._make_records = records or _Unrecorded
        self._records: StretchRecords | None = None
        self._prepared, self._options, self._root_pid = prepared, options, root_pid
        self._program = prepared.choice.artifact.program
        self._stacks = KeyStacks(self._program)
        self._faults = Faults()
        self._groundwork: Groundwork | None = None
        self._session: Session | None = None
        self._names: WatchedNames | None = None
        self._armed: Armed | None = None
        self._expenses: Sequence[Expense] = ()
        self._is_fresh = True

    def __enter__(self) -> Self:
        try:
            self._attach()
        except BaseException:
            self._detach()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._detach()

    @property
    def faults(self) -> Faults:
        """What could not be undone, once it was left."""
        return self._faults

    @property
    def session(self) -> Session:
        """The attached probes."""
        assert self._session is not None, "the probes are attached while entered"
        return self._session

    @property
    def program(self) -> Program:
        """What is attached."""
        return self._program

    @property
    def key_stacks(self) -> KeyStacks:
        """The stacks in the keys of its metrics."""
        return self._stacks

    def _attach(self) -> None:
        for leftovers in clean_up_dead_runs(directories=self._options.journals):
            self._options.notify(str(leftovers))
        self._groundwork = lay_groundwork(
            draw_run_id(), self._prepared, self._options, root_pid=self._root_pid
        )
        choice = self._prepared.choice
        self._session = choice.backend.attach(
            choice.artifact, self._prepared.facts, self._groundwork.attach_options()
        )
        self._names = WatchedNames(
            self._program, self._session.detach_probe, self._session.count_lost_cgroups
        )
        self._records = self._make_records(self._session)

    def _detach(self) -> None:
        if self._session is not None:
            self._faults.attempt(self._session.disarm, None)
        detach_all(self._groundwork, self._session, self._faults)
        self._stacks.close()
        self._groundwork = self._session = None

    # -- one stretch ---------------------------------------------------------------------------

    def begin(self, *, held: bool = False) -> int:
        """Count from now on, from zero; returns the time (CLOCK_MONOTONIC, ns). `held`: from when
        the probes are switched on by the memory that `Session.find_switch` returns."""
        assert self._groundwork is not None, "the probes are attached while entered"
        if not self._is_fresh:
            self.session.clear()
        self._is_fresh = False
        self._expenses = self.session.expenses()
        if held:
            self.session.pause(range(len(self._program.probes)))
        self._armed = arm(self.session, self._program, self._groundwork.guard)
        return time.monotonic_ns()

    def wait(self, descriptors: Sequence[int], until_ns: int) -> Sequence[int]:
        """Sleep until some of `descriptors` can be read, and return these; none at `until_ns`
        (CLOCK_MONOTONIC). What fills the buffers meanwhile is read."""
        assert self._records is not None, "the probes are attached while entered"
        while not (readable := poll_descriptors(descriptors, 0)):
            left_ns = until_ns - time.monotonic_ns()
            if left_ns <= 0:
                break
            self.session.wait(min(left_ns / 1e9, self._pause_s), descriptors)
            if not (readable := poll_descriptors(descriptors, 0)):
                self._records.read_all()
                self.name_stacks()
        return readable

    @property
    def _pause_s(self) -> float:
        """How long `wait` may sleep: stacks have no names once their processes have ended."""
        assert self._records is not None
        looks_s = _STACKS_LOOK_S if self._stacks.are_of_processes else math.inf
        return min(self._records.pause_s, looks_s)

    def name_stacks(self) -> None:
        """Name the stacks in keys that are new, while their processes live."""
        self._stacks.learn_new(self.session)

    def end(self) -> Stretch:
        """Stop counting and read everything."""
        session, armed = self.session, self._armed
        assert armed is not None, "end follows begin"
        assert self._groundwork is not None
        assert self._names is not None
        assert self._records is not None
        ended_ns = time.monotonic_ns()
        session.disarm()
        self._groundwork.guard.set_deadline(0)
        self._armed = None
        now = session.expenses()
        account = settle_account(session, self._records, self._program, session.attached)
        self._names.look()
        outstanding = self._sum_outstanding(ended_ns)
        cells = count_open_spans(session.metrics(), self._program, session.open_spans, ended_ns)
        self.name_stacks()
        duration_ns = self._program.limits.duration_ns
        return Stretch(
            began_ns=armed.at_ns,
            ended_ns=ended_ns,
            expired=duration_ns is not None and ended_ns >= armed.at_ns + duration_ns,
            cells=cells,
            account=account,
            fired=_count_fired(account),
            blind_because=self._names.changes,
            would_have=describe_excess(self._program, self._expenses, now, ended_ns - armed.at_ns),
            stacks=self._stacks.names,
            outstanding=outstanding,
        )

    def _sum_outstanding(self, ended_ns: int) -> dict[int, Sequence[Cell]]:
        spans = [span for span in self._program.spans if span.resource is not None]
        if not spans:
            return {}
        from orchestrator.run.metrics.outstanding import sum_open_spans  # imports numpy

        return {
            span.index: sum_open_spans(span.resource, self.session.open_spans(span.index), ended_ns)
            for span in spans
            if span.resource is not None
        }


class _Unrecorded:
    """The records of a plan that makes none: reading them counts events, where a backend does so in
    user space."""

    pause_s = math.inf

    def __init__(self, session: Session) -> None:
        self._session = session

    def read_all(self) -> int:
        """Read all that is there; no record comes of it."""
        self._session.read()
        self._session.release_batch()
        return 0

    def deliveries(self) -> Mapping[int, Delivery]:
        """None: there are no records."""
        return {}


def _count_fired(account: Account) -> dict[str, Count]:
    """By probe: events that came in, that is of the first side of each attach point."""
    return {
        name: add_counts(
            next(iter(hook["sides"].values()))["fired"] for hook in probe["hooks"] if hook["sides"]
        )
        for name, probe in account.ledger["probes"].items()
    }
