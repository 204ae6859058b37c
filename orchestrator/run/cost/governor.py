"""The governor: measures what a run costs, and keeps it within limits.cpu.

Every half second it looks at how often each probe was hit, and lets the kernel measure run times
for a moment (a pulse). If the cost is over the budget twice in a row, or far over it once, the
governor takes one step: it lowers sampling, or detaches a probe; when none is left, it ends the
run."""

from collections.abc import Callable, Iterator, Sequence

from orchestrator.backends.protocol import Expense, Session
from orchestrator.compile.program import Program
from orchestrator.output.run_output import RunOutput
from orchestrator.run.cost.budget import Cost, ProbeCost, Runs, Step, choose_step, measure_cost

__all__ = ["Governor"]

LOOK_NS = 500_000_000
PULSE_NS = 20_000_000
FAR = 4  # times the budget: a step is taken at once
_FEWEST_RUNS = 5  # in a pulse, for their times to be trusted


class Governor:
    """The governor of one run that is armed at `now_ns` (CLOCK_MONOTONIC). `limited` is called with
    the action that limits.cpu led to. `due_ns`: when to call `look` next; `cost`: of the last look
    (None before the first); `dropped`: the probes that were detached, each
    with how long after arming (ns)."""

    def __init__(
        self,
        session: Session,
        program: Program,
        output: RunOutput,
        limited: Callable[[str], None],
        now_ns: int,
    ) -> None:
        self._session, self._program = session, program
        self._output, self._limited = output, limited
        self._budget = program.limits.cpu
        self._samples = {probe: program.probes[probe].sample for probe in session.samplable}
        self._runs: dict[int, Runs] = {}
        self._pulse: Sequence[Expense] | None = None
        self._can_pulse = True  # until the kernel refuses it
        self._before: Sequence[Expense] | None = None
        self._over = False
        self.cost: Cost | None = None
        self.dropped: dict[str, int] = {}
        self._resampled: dict[str, None] = {}
        self._armed_ns = self._now_ns = now_ns
        self._look_ns = now_ns
        self.due_ns = now_ns

    def look(self, now_ns: int) -> bool:
        """Do what is due at `now_ns`; True when the run has to end."""
        if now_ns < self.due_ns:
            return False
        self._now_ns = now_ns
        if self._pulse is not None:
            self._end_pulse()
            self.due_ns = self._look_ns + LOOK_NS
            return False
        expenses = self._session.expenses()
        stop = False
        if self._before is not None:
            seconds = (now_ns - self._look_ns) / 1e9
            self.cost = measure_cost(self._before, expenses, seconds, self._runs, self._samples)
            stop = self._judge(self.cost)
            expenses = self._session.expenses()
        self._before, self._look_ns = expenses, now_ns
        self._begin_pulse(expenses)
        self.due_ns = now_ns + (PULSE_NS if self._pulse is not None else LOOK_NS)
        return stop

    def current_sample(self, probe: int) -> int:
        """The N in force for a probe (by index): one in N is kept."""
        return self._samples.get(probe, self._program.probes[probe].sample)

    @property
    def resampled(self) -> tuple[str, ...]:
        """The probes whose sampling was lowered, by name."""
        return tuple(self._resampled)

    def stop_measuring(self) -> None:
        """Switch off the measuring of run times."""
        self._session.set_run_time_stats(False)

    # -- run times -----------------------------------------------------------------------------

    def _begin_pulse(self, expenses: Sequence[Expense]) -> None:
        if not self._can_pulse or all(expense.run_ns is None for expense in expenses):
            return
        try:
            self._session.set_run_time_stats(True)
        except OSError:
            self._can_pulse = False
            return
        self._pulse = expenses

    def _end_pulse(self) -> None:
        self._session.set_run_time_stats(False)
        before = {expense.number: expense for expense in self._pulse or ()}
        self._pulse = None
        for now in self._session.expenses():
            old = before.get(now.number)
            if old is None or None in (old.run_ns, old.runs, now.run_ns, now.runs):
                continue
            runs = (now.runs or 0) - (old.runs or 0)
            if runs >= _FEWEST_RUNS:
                ns = ((now.run_ns or 0) - (old.run_ns or 0)) / runs - now.idle_ns
                self._learn(now, max(ns, 0.0))

    def _learn(self, expense: Expense, ns: float) -> None:
        sample = max((self._samples.get(probe, 1) for probe in expense.probes), default=1)
        if expense.number in self._runs:
            self._runs[expense.number].learn(ns, sample)
        else:
            self._runs[expense.number] = Runs(ns, sample)

    # -- steps ---------------------------------------------------------------------------------

    def _judge(self, cost: Cost) -> bool:
        over = cost.total > self._budget
        act = cost.total > FAR * self._budget or (over and self._over)
        self._over = over and not act
        if not act:
            return False
        step = choose_step(cost, self._budget)
        if step is not None and step.sample is not None:
            self._lower(step, cost)
        elif step is not None:
            self._detach(step, cost)
        if self._session.expenses():
            return False
        self._record("stop", cost, None, "no probe is left to detach")
        self._limited("stop")
        return True

    def _lower(self, step: Step, cost: Cost) -> None:
        assert step.sample is not None
        probe = step.share.probe
        self._session.resample(probe, step.sample)
        self._samples[probe] = step.sample
        self._resampled[self._program.probes[probe].name] = None
        self._record("sample", cost, step.share, _describe_share(step.share), step.sample)

    def _detach(self, step: Step, cost: Cost) -> None:
        """The probe, and those joined to it by a span: the rest of a span is useless."""
        self._limited("detach")
        costliest = step.share.probe
        for probe in sorted(self._joined_to(costliest)):
            name = self._program.probes[probe].name
            self._session.detach_probe(probe)
            self._samples.pop(probe, None)
            self.dropped[name] = self._now_ns - self._armed_ns
            why = (
                _describe_share(step.share)
                if probe == costliest
                else "a part of the same span is detached"
            )
            share = next((share for share in cost.shares if share.probe == probe), None)
            self._record("detach", cost, share, why, name=name)

    def _joined_to(self, probe: int) -> set[int]:
        """The probe and those that share a span with it, directly or through others, as far as they
        are still attached."""
        probes = self._program.probes
        spans = {other.index: set(_spans_of(self._program, other.index)) for other in probes}
        joined = {probe}
        while grown := {
            other
            for other, own in spans.items()
            if other not in joined and any(own & spans[member] for member in joined)
        }:
            joined |= grown
        names = {other.index: other.name for other in probes}
        return {member for member in joined if names[member] not in self.dropped}

    def _record(  # noqa: PLR0913  # the fields of a step
        self,
        action: str,
        cost: Cost,
        share: ProbeCost | None,
        detail: str,
        sample: int | None = None,
        name: str | None = None,
    ) -> None:
        probe = name if share is None else self._program.probes[share.probe].name
        self._output.write_record(
            "governor.stepped",
            "warning",
            action=action,
            probe=probe,
            cost=round(cost.total, 6),
            budget=self._budget,
            probe_cost=None if share is None else round(share.cost, 6),
            hit_ns=None if share is None else round(share.hit_ns, 1),
            hits_per_s=None if share is None else round(share.hits_s),
            sample_before=share.sample if share is not None and share.sample else None,
            sample=sample,
            calibrated=cost.calibrated,
            measured=cost.measured,
            detail=detail,
        )


def _spans_of(program: Program, probe: int) -> Iterator[int]:
    return (use.span for hook in program.probes[probe].hooks for use in hook.body.spans)


def _describe_share(share: ProbeCost) -> str:
    hits = f"{share.hits_s:,.0f} hits per second of {share.hit_ns:,.0f} ns"
    return f"{hits} take {share.cost * 100:.3g}% of one CPU"
