"""Measuring a check: attach once, repeat its workload, and return all that was counted."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.check.measurement import Measurement, Repeat, WorkloadTrouble
from orchestrator.check.measuring.commands import CommandMaker
from orchestrator.check.measuring.environment import describe_environment
from orchestrator.check.measuring.identity import identify_metrics, identify_probes
from orchestrator.check.measuring.repeater import Repeater, WorkloadFailed
from orchestrator.check.measuring.stage import set_stage
from orchestrator.check.model import Check
from orchestrator.kernel.facts import KernelFacts
from orchestrator.policy.model import Policy
from orchestrator.run.options import RunOptions
from orchestrator.run.prepare import Prepared, prepare
from orchestrator.run.signals import Signals
from orchestrator.run.standing.silence import make_silent

__all__ = ["RepeatProgress", "measure_check", "prepare_check"]

_BEYOND_TIMEOUT_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatProgress:
    """A repeat that is over: the `number`-th of `total`, of which the first `warmup` do not
    count."""

    number: int
    total: int
    is_warmup: bool
    repeat: Repeat


@dataclass(slots=True)
class _Collected:
    repeats: list[Repeat] = field(default_factory=list)
    witness: Repeat | None = None
    trouble: WorkloadTrouble | None = None


def prepare_check(
    check: Check, facts: KernelFacts, policies: Sequence[Policy], *, backend: str = "auto"
) -> Prepared:
    """The plan of a check ready to be attached, with its metrics alone. Raises as `prepare`."""
    plan = make_silent(check.plan, check.workload.timeout_ns + _BEYOND_TIMEOUT_NS)
    return prepare(plan, facts, policies, backend=backend, follow_children=True)


def measure_check(  # noqa: PLR0913  # what a measurement takes, each by its name
    check: Check,
    prepared: Prepared,
    signals: Signals,
    *,
    options: RunOptions,
    on_repeat: Callable[[RepeatProgress], None] = lambda _progress: None,
    environment: Mapping[str, str] = os.environ,
) -> Measurement:
    """Repeat the workload of a check, its plan as `prepare_check` made it. `signals`, entered, end
    it. Where the workload fails, what was measured until then is returned, with the trouble.

    Raises Interrupted; PlanError for a command that is not there; HostError where the plan cannot
    be attached; CleanupFailed. No process and nothing in the kernel is left by any of them.
    """
    collected = _Collected()
    with set_stage((check,), prepared, signals, options=options, environment=environment) as stage:
        session = stage.probes.session
        program = prepared.choice.artifact.program
        identities = identify_probes(program, session.attached, session.skipped)
        _collect(check, stage.repeater, stage.makers[0], collected, on_repeat)
    return Measurement(
        repeats=tuple(collected.repeats),
        probes=identities,
        metrics=identify_metrics(prepared.plan, program),
        environment=describe_environment(prepared, check.here),
        witness=collected.witness,
        trouble=collected.trouble,
    )


def _collect(
    check: Check,
    repeater: Repeater,
    makers: Mapping[int, CommandMaker],
    collected: _Collected,
    on_repeat: Callable[[RepeatProgress], None],
) -> None:
    try:
        for progress in _repeat_all(check, repeater, makers):
            on_repeat(progress)
            if not progress.is_warmup:
                collected.repeats.append(progress.repeat)
        if check.workload.witness:
            first = check.workload.ops[0]
            collected.witness = repeater.run_witness(makers[first], first)
    except WorkloadFailed as failed:
        collected.trouble = failed.trouble
        if failed.repeat is not None and failed.trouble.stage == "run":
            collected.repeats.append(failed.repeat)


def _repeat_all(
    check: Check, repeater: Repeater, makers: Mapping[int, CommandMaker]
) -> Iterator[RepeatProgress]:
    """All repeats; those of different sizes take turns, so that a drift touches both."""
    workload = check.workload
    rounds = workload.warmup + workload.repeats
    total, number = rounds * len(workload.ops), 0
    for turn in range(rounds):
        for ops in workload.ops:
            number += 1
            yield RepeatProgress(
                number=number,
                total=total,
                is_warmup=turn < workload.warmup,
                repeat=repeater.repeat(makers[ops], ops),
            )
