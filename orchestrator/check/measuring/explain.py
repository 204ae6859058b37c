"""One more repeat of a workload that broke its bounds, with records: what was it that counted?

It decides nothing. Where it cannot be measured, or its plan cannot make records, it says why.
"""

import os
from collections.abc import Iterator, Mapping, Sequence

from orchestrator.backends.protocol import Session
from orchestrator.check.expectation.references import MetricReference, PlanNames
from orchestrator.check.explanation.model import KeptRecords
from orchestrator.check.explanation.recording import ExtraField, make_recording
from orchestrator.check.explanation.selection import RecordSelection
from orchestrator.check.measurement import Measurement
from orchestrator.check.measuring.record_keeper import RecordKeeper
from orchestrator.check.measuring.repeater import WorkloadFailed
from orchestrator.check.measuring.stage import set_stage
from orchestrator.check.model import Check
from orchestrator.check.processes.launcher import LauncherGone
from orchestrator.compile.program import USER_STACK_FORMS
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.policy.model import Policy
from orchestrator.run.choice import Prepared
from orchestrator.run.options import RunOptions
from orchestrator.run.prepare import prepare
from orchestrator.run.signals import Signals
from orchestrator.values import dataclass

__all__ = ["record_again"]

_ONLY_OWN = (
    "the policies of this host allow only the plan's own records, and it makes none of these events"
)
_NOT_OF_EVENTS = "records are of events, and not of what is still outstanding at the end"
_IN_A_MACHINE = "it was measured in a machine, where no records are made"


def record_again(  # noqa: PLR0913  # what a repeat takes, each by its name
    check: Check,
    measurement: Measurement,
    selections: Sequence[RecordSelection],
    facts: KernelFacts,
    policies: Sequence[Policy],
    signals: Signals,
    *,
    options: RunOptions,
    backend: str = "auto",
    environment: Mapping[str, str] = os.environ,
) -> list[KeptRecords]:
    """The records that each of `selections` chooses of one more repeat, in their order. Raises
    Interrupted and CleanupFailed; whatever else goes wrong is the reason why there are none."""
    if not any(_events_of(check, selection) for selection in selections):
        return _none_because(_NOT_OF_EVENTS, selections)
    if check.machine is not None:
        return _none_because(_IN_A_MACHINE, selections)
    preparing = _Preparing(check, measurement, selections, facts, policies, backend)
    try:
        prepared = preparing.prepare()
    except (PlanError, HostError) as error:
        return _none_because(_first_line(error), selections)
    absent = [_find_why_absent(check, one, prepared) for one in selections]
    if all(absent):
        return [KeptRecords(unavailable_because=why) for why in absent]
    try:
        kept = _repeat_once(check, prepared, selections, signals, options, environment)
    except (WorkloadFailed, LauncherGone, PlanError, HostError, OSError) as failed:
        return _none_because(f"the further repeat failed: {_first_line(failed)}", selections)
    pairs = zip(absent, kept, strict=True)
    return [KeptRecords(unavailable_because=why) if why else one for why, one in pairs]


def _repeat_once(  # noqa: PLR0913  # as record_again
    check: Check,
    prepared: Prepared,
    selections: Sequence[RecordSelection],
    signals: Signals,
    options: RunOptions,
    environment: Mapping[str, str],
) -> list[KeptRecords]:
    program = prepared.choice.artifact.program
    keepers: list[RecordKeeper] = []

    def make_keeper(session: Session) -> RecordKeeper:
        keepers.append(RecordKeeper(session, program, selections))
        return keepers[0]

    def name_stacks() -> None:
        keepers[0].read_all()

    try:
        with set_stage(
            (check,),
            prepared,
            signals,
            options=options,
            environment=environment,
            records=make_keeper,
            before_exit=name_stacks if _takes_user_stacks(prepared) else None,
        ) as stage:
            ops = max(check.workload.ops)
            stage.repeater.repeat(stage.makers[0][ops], ops)
            return keepers[0].list_kept()
    finally:
        for keeper in keepers:
            keeper.close()


def _events_of(check: Check, selection: RecordSelection) -> list[MetricReference]:
    """The metrics that count events, and not what is left open at the end."""
    names = PlanNames(check.plan)
    return [one for one in selection.references if not names.is_outstanding(one)]


def _find_why_absent(check: Check, selection: RecordSelection, prepared: Prepared) -> str:
    """Why there can be no records for a selection; "" where there can."""
    if not (events := _events_of(check, selection)):
        return _NOT_OF_EVENTS
    recorded = {emit.probe for emit in prepared.choice.artifact.program.emits}
    return "" if any(one.owner in recorded for one in events) else _ONLY_OWN


def _takes_user_stacks(prepared: Prepared) -> bool:
    emits = prepared.choice.artifact.program.emits
    return any(part.form in USER_STACK_FORMS for emit in emits for part in emit.fields)


def _none_because(why: str, selections: Sequence[RecordSelection]) -> list[KeptRecords]:
    return [KeptRecords(unavailable_because=why) for _ in selections]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


# ---------------------------------------------------------------- the plan


@dataclass(frozen=True, slots=True)
class _Preparing:
    """Prepares the plan that records, with as much besides as this host can take."""

    check: Check
    measurement: Measurement
    selections: Sequence[RecordSelection]
    facts: KernelFacts
    policies: Sequence[Policy]
    backend: str

    @property
    def references(self) -> tuple[MetricReference, ...]:
        """All metrics of events that the failed expectations read."""
        found = (_events_of(self.check, selection) for selection in self.selections)
        return tuple(one for references in found for one in references)

    def prepare(self) -> Prepared:
        """The plan with every field besides with which it can still be attached. Raises PlanError
        and HostError."""
        best = self._try(())
        taken: list[ExtraField] = []
        for one in self._list_extra():
            try:
                best = self._try((*taken, one))
            except (PlanError, HostError):
                continue
            taken.append(one)
        return best

    def _try(self, extra: Sequence[ExtraField]) -> Prepared:
        plan = make_recording(
            self.check.plan,
            self.references,
            extra=extra,
            duration_ns=self.check.workload.longest_stretch_ns,
            only_recorded=bool(self.policies),
        )
        return prepare(plan, self.facts, self.policies, backend=self.backend, follow_children=True)

    def _list_extra(self) -> Iterator[ExtraField]:
        """What else there is to know: the file of a system call, and the way there in the program,
        for what the kernel does also in the kernel. Policies allow a plan for what it records, so
        that under them nothing is added."""
        if self.policies:
            return
        spans = {span.name for span in self.check.plan.spans}
        for owner in dict.fromkeys(one.owner for one in self.references):
            if owner in spans:
                continue
            yield ExtraField(owner, "fd", "args.fd")
            yield ExtraField(owner, "ustack", "ustack")
            if self.measurement.probes[owner].place == "kernel-side":
                yield ExtraField(owner, "kstack", "kstack")
